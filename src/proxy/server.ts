import type { RequestListener, Server } from 'node:http';
import { createServer as createHttpsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

const { createServer: createHttpServer, ServerResponse } = process.getBuiltinModule('node:http');

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
}

/** Bytes of a request's headers at most; more is answered 431. */
const maxHeaderSize = 16 * 1024;
/** Milliseconds for a request's headers, and between requests of a kept connection. */
const headersTimeout = 60_000;
const keepAliveTimeout = 75_000;

const common = {
  maxHeaderSize,
  headersTimeout,
  keepAliveTimeout,
  // A large prompt over a slow line takes its time; idle senders are cut by the policy's time-outs or by the peer.
  requestTimeout: 300_000,
  noDelay: true,
  insecureHTTPParser: false,
} as const;

/** The proxy's HTTP server; Node's own parser keeps malformed and smuggled requests out. */
export function createProxyServer(options: ServerOptions, listener: RequestListener): Server | TlsServer {
  const server =
    options.tls === undefined
      ? createHttpServer(common, listener)
      : createHttpsServer(
          { ...common, cert: options.tls.cert, key: options.tls.key, ALPNProtocols: ['http/1.1'] },
          listener,
        );
  if (options.maxConnections > 0) {
    server.maxConnections = options.maxConnections;
  }
  server.on('clientError', answerClientError);
  return server;
}

/** Puts a new certificate in force for connections to come. */
export function renewCertificate(server: Server | TlsServer, tls: TlsMaterial): void {
  if ('setSecureContext' in server) server.setSecureContext({ cert: tls.cert, key: tls.key });
}

/** `host:port` that the server listens on. */
export function addressOf(server: Server | TlsServer): string {
  const bound = server.address();
  if (!isAddressInfo(bound)) throw new Error('the server listens on no port');
  return bound.family === 'IPv6' ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`;
}

function isAddressInfo(value: AddressInfo | string | null): value is AddressInfo {
  return typeof value === 'object' && value !== null;
}

const malformed = { status: '400 Bad Request', code: 'invalid_request', message: 'the request is not valid HTTP' };
const clientErrors: Readonly<Record<string, typeof malformed>> = {
  HPE_HEADER_OVERFLOW: {
    status: '431 Request Header Fields Too Large',
    code: 'headers_too_large',
    message: `the headers are larger than the limit of ${maxHeaderSize} bytes`,
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: '408 Request Timeout',
    code: 'request_timeout',
    message: 'the request took too long to arrive',
  },
};

function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable || isAnswering(socket)) {
    socket.destroy();
    return;
  }
  const { status, code, message } = clientErrors[error.code ?? ''] ?? malformed;
  const body = JSON.stringify({ error: { message, type: 'invalid_request_error', code, param: null } });
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    // The peer may never read it; a socket left half open would leak.
    () => socket.destroySoon(),
  );
}

/** Whether an answer has begun on the connection: another one in its middle would be taken for a part of it. */
function isAnswering(socket: Socket): boolean {
  const answer: unknown = Reflect.get(socket, '_httpMessage');
  return answer instanceof ServerResponse && answer.headersSent;
}
