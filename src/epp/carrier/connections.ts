import { Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Clock } from '../../router/clock.ts';
import { Http2Connection, type ConnectionHost } from './http2/connection.ts';
import type { RequestHead } from './http2/request-head.ts';
import type { Http2Stream } from './http2/stream.ts';
import { Peer } from './peer.ts';

/** Takes what the connections of a server bring. */
export interface ConnectionsHost {
  readonly clock: Clock;
  onRequest(stream: Http2Stream, head: RequestHead, peer: Peer): void;
  onFault(fault: Error): void;
}

/** The connections of a server, and how they begin and end. */
export class Connections {
  private readonly server: Server;
  private readonly host: ConnectionsHost;
  private readonly sockets = new Set<Socket>();
  private readonly connections = new Set<Http2Connection>();
  private closing = false;
  /** Called once the last socket is closed; null before the server is. */
  private whenClosed: (() => void) | null = null;

  constructor(server: Server, host: ConnectionsHost) {
    this.server = server;
    this.host = host;
    server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.on('close', () => {
        this.sockets.delete(socket);
        this.settle();
      });
    });
  }

  /** Speaks HTTP/2 on a socket that is ready for it. */
  greet(socket: Socket): void {
    if (socket instanceof TLSSocket && socket.alpnProtocol !== 'h2') {
      socket.destroy();
      return;
    }
    const connection = connect(socket, this.host);
    this.connections.add(connection);
    socket.on('close', () => this.connections.delete(connection));
    if (this.closing) connection.close();
  }

  /**
   * Takes no more connections, and no more calls on those that it has; `done` once the last of them is closed. Peers hear
   * (GOAWAY) which call was the last that was taken: any that was on its way they may send again elsewhere.
   */
  close(done: () => void): void {
    this.closing = true;
    // The server counts a socket as closed before the socket says so.
    this.server.close(() => {
      this.whenClosed = done;
      this.settle();
    });
    for (const connection of this.connections) connection.close();
  }

  /** Closes all connections at once. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  private settle(): void {
    if (this.sockets.size === 0) this.whenClosed?.();
  }
}

function connect(socket: Socket, host: ConnectionsHost): Http2Connection {
  const own: ConnectionHost = {
    clock: host.clock,
    onRequest: (stream, head) => host.onRequest(stream, head, peer),
    onFault: (fault) => host.onFault(fault),
  };
  const connection = new Http2Connection(socket, own);
  const peer = new Peer(connection, host.clock);
  return connection;
}
