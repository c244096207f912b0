import type { AddressInfo, Server, Socket } from 'node:net';
import { member } from './http/body.ts';
import { readJsonLines, writeJsonLine } from './json-lines.ts';

const { createServer } = process.getBuiltinModule('node:net');

/**
 * What becomes of a read: granted; granted although the blocks may hold something else by now, which nobody notices; granted without
 * an end; refused; or ignored, which the reader is told so that it need not measure silence on a busy machine.
 */
export type ReadAnswer = 'grant' | 'stale' | 'stall' | 'refuse' | 'ignore';

/** A reader of one request's blocks, as the prefiller sees it. */
export interface Reader {
  read(): ReadAnswer;
  /** All has been read. */
  done(): void;
  /** It will never read. */
  declined(): void;
  /** It has gone without a word. */
  gone(): void;
}

/**
 * The port at which a simulated prefiller is asked for its blocks, in place of NIXL's handshake, heartbeats and notifications. A reader
 * connects as soon as it has the request, `{"type":"expect","engine":…,"request":…}`, and stays; in its turn it says `read`, hears
 * `granted`, `refused` or `silence`, and says `done` when the bytes would have been moved, or `decline` to give the blocks back unread.
 */
export class SideChannel {
  private readonly readerOf: (engineId: string, requestId: string) => Reader;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private bound = 0;

  private constructor(readerOf: (engineId: string, requestId: string) => Reader) {
    this.readerOf = readerOf;
    this.server = createServer({ noDelay: true }, (socket) => {
      this.serve(socket);
    });
  }

  /** Listens; rejects with the system's error where it cannot. Port 0 picks one. */
  static async listen(
    host: string,
    port: number,
    readerOf: (engineId: string, requestId: string) => Reader,
  ): Promise<SideChannel> {
    const channel = new SideChannel(readerOf);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    channel.server.once('error', reject);
    channel.server.listen(port, host, () => {
      channel.server.off('error', reject);
      resolve();
    });
    await promise;
    channel.bound = portOf(channel.server.address());
    return channel;
  }

  get port(): number {
    return this.bound;
  }

  /** Connections of readers. */
  get open(): number {
    return this.sockets.size;
  }

  /** Breaks all connections, as a crash would, and stops listening. */
  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  private serve(socket: Socket): void {
    let reader: Reader | null = null;
    this.sockets.add(socket);
    readJsonLines(socket, (message) => {
      if (reader === null) reader = this.readerOf(text(message, 'engine'), text(message, 'request'));
      else if (answer(socket, reader, member(message, 'type'))) reader = null;
    });
    // A reader that crashes is one that has gone: `close` follows.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.sockets.delete(socket);
      reader?.gone();
    });
  }
}

/** Whether that was the reader's last word. */
function answer(socket: Socket, reader: Reader, type: unknown): boolean {
  if (type === 'done') reader.done();
  if (type === 'decline') reader.declined();
  if (type === 'read') grant(socket, reader.read());
  return type === 'done' || type === 'decline';
}

function grant(socket: Socket, read: ReadAnswer): void {
  if (read === 'refuse') writeJsonLine(socket, { type: 'refused' });
  else if (read === 'ignore') writeJsonLine(socket, { type: 'silence' });
  else writeJsonLine(socket, { type: 'granted', stalls: read === 'stall', stale: read === 'stale' });
}

function text(message: unknown, key: string): string {
  const value = member(message, key);
  return typeof value === 'string' ? value : '';
}

function portOf(address: string | AddressInfo | null): number {
  return typeof address === 'object' && address !== null ? address.port : 0;
}
