import { createServer, type AddressInfo, type Server } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { Call, type CallHost } from './call.ts';
import type { AcceptCall, Carrier, CarrierOptions, TlsMaterial } from './carrier.ts';
import { Connections, type ConnectionsHost } from './connections.ts';
import { HealthEndpoint } from './health.ts';
import { handshakeMilliseconds } from './http2/connection.ts';
import type { RequestHead } from './http2/request-head.ts';
import type { Http2Stream } from './http2/stream.ts';
import type { Peer } from './peer.ts';
import { methodNotAllowed, unknownMethod, unsupportedMediaType } from './trailers.ts';

const processPath = '/envoy.service.ext_proc.v3.ExternalProcessor/Process';
const checkPath = '/grpc.health.v1.Health/Check';
const watchPath = '/grpc.health.v1.Health/Watch';

/** `application/grpc`, with a codec's name or parameters behind it; grpc-web is another protocol. */
const grpcType = /^application\/grpc(?:$|[+;])/i;

const socketOptions = {
  noDelay: true,
  /** A peer whose machine is gone says nothing; the kernel asks after it after so many milliseconds of silence. */
  keepAlive: true,
  keepAliveInitialDelay: 30_000,
};

/** A gRPC server of `ExternalProcessor/Process` and of the health service. */
export function createCarrier(options: CarrierOptions): Carrier {
  return new Http2Carrier(options);
}

class Http2Carrier implements Carrier, CallHost, ConnectionsHost {
  readonly clock: CarrierOptions['clock'];
  private readonly options: CarrierOptions;
  private readonly secure: TlsServer | null;
  private readonly server: Server;
  private readonly connections: Connections;
  private readonly health: HealthEndpoint;
  private readonly methods = new Map<string, AcceptCall>();
  private readonly open = new Set<Call>();

  constructor(options: CarrierOptions) {
    this.options = options;
    this.clock = options.clock;
    this.health = new HealthEndpoint(options.health);
    this.methods.set(checkPath, this.health.check).set(watchPath, this.health.watch);
    if (options.accept !== null) this.methods.set(processPath, options.accept);
    this.secure = options.tls === null ? null : secureServer(options.tls);
    this.server = this.secure ?? createServer(socketOptions);
    this.connections = new Connections(this.server, this);
    this.observe();
  }

  get calls(): number {
    return this.open.size;
  }

  onFault(fault: Error): void {
    this.options.onFault(fault);
  }

  onCallOver(call: Call): void {
    this.open.delete(call);
  }

  onRequest(stream: Http2Stream, head: RequestHead, peer: Peer): void {
    if (head.method !== 'POST') return stream.finish(methodNotAllowed);
    if (!grpcType.test(head.contentType)) return stream.finish(unsupportedMediaType);
    const accept = this.methods.get(head.path);
    if (accept === undefined) return stream.finish(unknownMethod);
    const call = new Call(stream, peer, this);
    // Watches of our health are no calls: they never end by themselves.
    if (accept === this.options.accept) this.open.add(call);
    call.start(accept, head);
  }

  listen(host: string, port: number): Promise<AddressInfo> {
    const { server } = this;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        server.on('error', (fault: Error) => this.onFault(fault));
        const bound = server.address();
        if (bound === null || typeof bound === 'string') reject(new Error('the carrier listens on no port'));
        else resolve(bound);
      });
    });
  }

  renew(material: TlsMaterial): void {
    if (this.secure === null) throw new Error('a carrier without TLS has no certificate to renew');
    this.secure.setSecureContext({ cert: material.cert, key: material.key });
  }

  drain(milliseconds: number): Promise<number> {
    this.health.drain();
    return new Promise((resolve) => {
      let cut = 0;
      const cancel = this.options.clock.after(milliseconds, () => {
        cut = this.open.size;
        this.connections.cut();
      });
      this.connections.close(() => {
        cancel();
        resolve(cut);
      });
    });
  }

  private observe(): void {
    const { server } = this;
    if (this.secure === null) {
      server.on('connection', (socket) => this.connections.greet(socket));
      return;
    }
    this.secure.on('secureConnection', (socket) => this.connections.greet(socket));
    this.secure.on('tlsClientError', (fault, socket) => {
      this.onFault(fault);
      socket.destroy();
    });
  }
}

function secureServer(tls: TlsMaterial): TlsServer {
  return createTlsServer({
    ...socketOptions,
    cert: tls.cert,
    key: tls.key,
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['h2'],
    handshakeTimeout: handshakeMilliseconds,
  });
}
