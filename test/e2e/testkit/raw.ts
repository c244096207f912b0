import { connect, type Socket } from 'node:net';

/** A connection on which a test writes what no HTTP client would. */
export class RawConnection {
  received = '';
  /** Set once the other side has ended or reset the connection. */
  closed = false;
  readonly socket: Socket;

  constructor(address: string) {
    const colon = address.lastIndexOf(':');
    this.socket = connect({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)) });
    this.socket.setEncoding('latin1').on('data', (text: string) => (this.received += text));
    // A reset is one of the ways in which a server may end it.
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => (this.closed = true));
  }

  write(text: string | Buffer): void {
    this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  }

  /** Stops or goes on reading; what has not been read fills the buffers on the way, then the sender must wait. */
  reading(on: boolean): void {
    if (on) this.socket.resume();
    else this.socket.pause();
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** Sends bytes on a connection of their own and resolves to all that comes back until the other side closes it. */
export function exchange(address: string, bytes: string | Buffer): Promise<string> {
  const connection = new RawConnection(address);
  connection.write(bytes);
  return new Promise((resolve) => connection.socket.on('close', () => resolve(connection.received)));
}

/** Status codes of the answers in what came back, in order. */
export function statusesIn(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.1 ([0-9]{3}) /g)].map((found) => Number(found[1]));
}
