import type {
  Http2SecureServer,
  Http2Server,
  IncomingHttpHeaders,
  ServerHttp2Session,
  ServerHttp2Stream,
} from 'node:http2';
import { Server, type Socket } from 'node:net';
import type { Clock } from '../../router/clock.ts';
import { Peer } from './peer.ts';

/** How long a peer may take to speak HTTP/2, or TLS, at all. */
export const handshakeMilliseconds = 10_000;
/** Bytes that a peer may have under way on one connection: much, since each stream has a window of its own. */
const connectionWindow = 64 * 1024 * 1024;

/** Takes a stream that a peer has opened. */
export type TakeStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, peer: Peer) => void;

/** The connections of a server, and how they begin and end. */
export class Connections {
  private readonly server: Http2Server | Http2SecureServer;
  private readonly clock: Clock;
  private readonly take: TakeStream;
  private readonly sockets = new Set<Socket>();
  private readonly sessions = new Set<ServerHttp2Session>();
  private closing = false;

  constructor(server: Http2Server | Http2SecureServer, clock: Clock, take: TakeStream) {
    this.server = server;
    this.clock = clock;
    this.take = take;
    server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    server.on('session', (session: ServerHttp2Session) => this.greet(session));
  }

  /**
   * Takes no more connections, and no more calls on those that it has; `done` once the last of them is closed. Peers hear
   * (GOAWAY) which call was the last that was taken: any that was on its way they may send again elsewhere. A warning
   * before that, as RFC 9113 section 6.8 advises, cannot be given: after the first GOAWAY nghttp2 takes no calls.
   */
  close(done: () => void): void {
    this.closing = true;
    Server.prototype.close.call(this.server, done);
    for (const session of this.sessions) session.close();
  }

  /** Closes all connections at once. */
  cut(): void {
    for (const session of this.sessions) session.destroy();
    for (const socket of this.sockets) socket.destroy();
  }

  private greet(session: ServerHttp2Session): void {
    this.sessions.add(session);
    const cancel = this.clock.after(handshakeMilliseconds, () => session.destroy());
    session.once('remoteSettings', cancel);
    session.on('close', () => {
      cancel();
      this.sessions.delete(session);
    });
    session.setLocalWindowSize(connectionWindow);
    const peer = new Peer(session, this.clock);
    session.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => this.take(stream, headers, peer));
    if (this.closing) session.close();
  }
}
