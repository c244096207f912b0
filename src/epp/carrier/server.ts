import type { Http2SecureServer, Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Call, type CallHost } from './call.ts';
import { GrpcStatus } from './carrier.ts';
import type { AcceptCall, Carrier, CarrierOptions, TlsMaterial } from './carrier.ts';
import { Connections, handshakeMilliseconds } from './connections.ts';
import { HealthEndpoint } from './health.ts';
import type { Peer } from './peer.ts';
import { refuse } from './trailers.ts';

const { createServer, createSecureServer } = process.getBuiltinModule('node:http2');

const processPath = '/envoy.service.ext_proc.v3.ExternalProcessor/Process';
const checkPath = '/grpc.health.v1.Health/Check';
const watchPath = '/grpc.health.v1.Health/Watch';

/** `application/grpc`, with a codec's name or parameters behind it; grpc-web is another protocol. */
const grpcType = /^application\/grpc(?:$|[+;])/i;

/**
 * Limits of a connection. Node's own are made for browsers: 10 MB, and 33 resets a second in the long run. Envoy passes
 * both in ordinary work, since it opens a stream for each request that it carries, and ends it by a reset; a `Peer` tells
 * such resets from a flood.
 */
const limits = {
  /** Megabytes. */
  maxSessionMemory: 4_000,
  streamResetBurst: 200_000,
  streamResetRate: 50_000,
  settings: {
    maxConcurrentStreams: 16_384,
    maxHeaderListSize: 64 * 1024,
    /** A stream's window: a message of 1 MiB, Envoy's largest, comes without asking back. */
    initialWindowSize: 1024 * 1024 + 64 * 1024,
  },
  /** A peer whose machine is gone says nothing; the kernel asks after it so many milliseconds of silence. */
  keepAlive: true,
  keepAliveInitialDelay: 30_000,
};

/** A gRPC server of `ExternalProcessor/Process` and of the health service. */
export function createCarrier(options: CarrierOptions): Carrier {
  return new Http2Carrier(options);
}

class Http2Carrier implements Carrier, CallHost {
  private readonly options: CarrierOptions;
  private readonly secure: Http2SecureServer | null;
  private readonly server: Http2Server | Http2SecureServer;
  private readonly connections: Connections;
  private readonly health: HealthEndpoint;
  private readonly methods = new Map<string, AcceptCall>();
  private readonly open = new Set<Call>();

  constructor(options: CarrierOptions) {
    this.options = options;
    this.health = new HealthEndpoint(options.health);
    this.methods.set(checkPath, this.health.check).set(watchPath, this.health.watch);
    if (options.accept !== null) this.methods.set(processPath, options.accept);
    this.secure = options.tls === null ? null : secureServer(options.tls);
    this.server = this.secure ?? createServer(limits);
    this.connections = new Connections(this.server, options.clock, (stream, headers, peer) => {
      this.take(stream, headers, peer);
    });
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
    server.on('sessionError', (fault: Error) => this.onFault(fault));
    server.on('unknownProtocol', (socket: { destroy(): void }) => socket.destroy());
    server.on('tlsClientError', (fault: Error, socket: { destroy(): void }) => {
      this.onFault(fault);
      socket.destroy();
    });
  }

  private take(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, peer: Peer): void {
    // The stream may be gone before we are told that it came.
    if (stream.destroyed || stream.closed) return peer.abandoned();
    if (headers[':method'] !== 'POST') return refuse(stream, { ':status': 405 });
    if (!grpcType.test(headers['content-type'] ?? '')) return refuse(stream, { ':status': 415 });
    const accept = this.methods.get(headers[':path'] ?? '');
    if (accept === undefined) return refuse(stream, { ...unimplemented });
    const call = new Call(stream, peer, this);
    // Watches of our health are no calls: they never end by themselves.
    if (accept === this.options.accept) this.open.add(call);
    call.start(accept);
  }
}

const unimplemented = {
  ':status': 200,
  'content-type': 'application/grpc',
  'grpc-status': GrpcStatus.unimplemented,
  'grpc-message': 'unknown method',
};

function secureServer(tls: TlsMaterial): Http2SecureServer {
  return createSecureServer({
    ...limits,
    cert: tls.cert,
    key: tls.key,
    minVersion: 'TLSv1.2',
    handshakeTimeout: handshakeMilliseconds,
  });
}
