import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, Server as TlsServer, TLSSocket } from 'node:tls';
import type { Clock } from '../router/clock.ts';
import { Deadlines } from '../router/deadlines.ts';
import {
  ClientConnection,
  headersTimeout,
  type ConnectionHost,
  type ConnectionTimeouts,
  type RequestHandler,
} from './http/connection.ts';
import { read, type Reader } from './http/read-buffer.ts';

/** Certificate and key in PEM. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
}

export interface ServerOptions {
  /** Absent: plain HTTP. */
  readonly tls?: TlsMaterial;
  /** Connections at most; 0 is no limit. New ones over it are closed. */
  readonly maxConnections: number;
  readonly clock: Clock;
  /** The usual ones where it is left out. */
  readonly timeouts?: ConnectionTimeouts;
}

/** A server of HTTP/1.1 whose `close` closes idle connections, and lets the others end with the answer under way. */
export interface ProxyServer extends Server {
  closeIdleConnections(): void;
  closeAllConnections(): void;
}

/** Milliseconds between looks at the connections' time-outs, which are minutes. */
const resolution = 1000;

/** The proxy's HTTP server. */
export function createProxyServer(options: ServerOptions, handler: RequestHandler): ProxyServer {
  const deadlines = new Deadlines<ClientConnection>(options.clock, resolution);
  const { timeouts } = options;
  const host: ConnectionHost = { handler, deadlines, closing: false, ...(timeouts === undefined ? {} : { timeouts }) };
  const server = listener(options.tls, (socket) => accept(socket, host));
  if (options.maxConnections > 0) server.maxConnections = options.maxConnections;
  const close = server.close.bind(server);
  const closeIdle = (): void => {
    for (const connection of deadlines.all()) connection.closeIfIdle();
  };
  const handshakes = options.tls === undefined ? null : handshaking(server);
  return Object.assign(server, {
    close(done?: (error?: Error) => void) {
      host.closing = true;
      closeIdle();
      return close(done);
    },
    closeIdleConnections: closeIdle,
    closeAllConnections() {
      for (const connection of deadlines.all()) connection.destroy();
      for (const socket of handshakes ?? []) socket.destroy();
    },
  });
}

function listener(tls: TlsMaterial | undefined, take: (socket: Socket) => void): Server {
  if (tls === undefined) return createTcpServer({ noDelay: true }, take);
  const { cert, key } = tls;
  const options = { cert, key, ALPNProtocols: ['http/1.1'], noDelay: true, handshakeTimeout: headersTimeout };
  // A handshake that takes too long is told of here, and nowhere else is it ended.
  return createTlsServer(options, take).on('tlsClientError', (_error, socket) => socket.destroy());
}

function accept(socket: Socket, host: ConnectionHost): void {
  const connection = new ClientConnection(socket, host);
  const reader: Reader = (bytes, length) => connection.onRead(bytes, length);
  // TLS decrypts on a write, too: a buffer for all could be overwritten while it is read.
  if (socket instanceof TLSSocket) socket.on('data', (bytes: Buffer) => reader(bytes, bytes.length));
  else read(socket, reader);
}

/** The sockets of TLS connections, which are there before the handshake. */
function handshaking(server: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  return sockets;
}

/** Puts a new certificate in force for connections to come. */
export function renewCertificate(server: Server, tls: TlsMaterial): void {
  if (server instanceof TlsServer) server.setSecureContext({ cert: tls.cert, key: tls.key });
}

/** `host:port` that the server listens on. */
export function addressOf(server: Server): string {
  const bound = server.address();
  if (!isAddressInfo(bound)) throw new Error('the server listens on no port');
  return bound.family === 'IPv6' ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`;
}

function isAddressInfo(value: AddressInfo | string | null): value is AddressInfo {
  return typeof value === 'object' && value !== null;
}
