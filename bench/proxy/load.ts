import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

const headEnd = Buffer.from('\r\n\r\n');
const eventEnd = Buffer.from('\n\n');
const lastChunk = Buffer.from('0\r\n\r\n');

/** One kept-alive connection that sends ready-made requests and reads just enough to know when an answer is whole. */
class Client {
  /** Whole events seen in the answer. */
  events = 0;
  private readonly socket: Socket;
  private ended: (() => void) | null = null;
  private remaining = -1;
  private chunked = false;

  constructor(port: number, readBuffer: Buffer) {
    const callback = (length: number): boolean => {
      this.read(readBuffer, length);
      return true;
    };
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true, onread: { buffer: readBuffer, callback } });
    this.socket.on('error', (error) => fatal(`a connection to the proxy failed: ${error.message}`));
    this.socket.on('close', () => {
      if (this.ended !== null) fatal('a proxy closed a connection in the middle of an answer');
    });
  }

  send(request: Buffer, ended: () => void): void {
    this.ended = ended;
    this.remaining = -1;
    this.chunked = false;
    this.events = 0;
    this.socket.write(request);
  }

  close(): void {
    this.socket.destroy();
  }

  private read(buffer: Buffer, length: number): void {
    let at = 0;
    if (this.remaining < 0 && !this.chunked) {
      const end = buffer.indexOf(headEnd);
      if (end < 0 || end >= length) fatal('the head of an answer came in pieces');
      const head = buffer.toString('latin1', 0, end).toLowerCase();
      if (!head.startsWith('http/1.1 200')) fatal(`a proxy answered ${head.split('\r\n', 1)[0]}`);
      this.chunked = head.includes('transfer-encoding: chunked');
      if (!this.chunked) this.remaining = Number(/content-length: *(\d+)/.exec(head)?.[1] ?? 0);
      at = end + headEnd.length;
    }
    if (this.chunked) this.readChunks(buffer, at, length);
    else this.readSized(length - at);
  }

  private readSized(bytes: number): void {
    this.remaining -= bytes;
    if (this.remaining > 0) return;
    this.end();
  }

  private readChunks(buffer: Buffer, from: number, length: number): void {
    const bytes = buffer.subarray(0, length);
    for (let at = bytes.indexOf(eventEnd, from); at >= 0; at = bytes.indexOf(eventEnd, at + 2)) this.events += 1;
    if (bytes.subarray(-lastChunk.length).equals(lastChunk)) this.end();
  }

  private end(): void {
    const ended = this.ended;
    this.ended = null;
    ended?.();
  }
}

function fatal(message: string): never {
  throw new Error(message);
}

/** Clients of one port, which share a read buffer: each read is looked at before the next one comes. */
class Clients {
  private readonly port: number;
  private readonly idle: Client[] = [];
  private readonly all: Client[] = [];
  private readonly buffer = Buffer.allocUnsafeSlow(65_536);

  constructor(port: number) {
    this.port = port;
  }

  take(): Client {
    const idle = this.idle.pop();
    if (idle !== undefined) return idle;
    const made = new Client(this.port, this.buffer);
    this.all.push(made);
    return made;
  }

  give(client: Client): void {
    this.idle.push(client);
  }

  close(): void {
    for (const client of this.all) client.close();
  }
}

/** Sends `total` requests, `width` at a time. */
export async function closedLoop(
  port: number,
  requests: readonly Buffer[],
  total: number,
  width: number,
): Promise<void> {
  const clients = new Clients(port);
  await new Promise<void>((resolve) => {
    let sent = 0;
    let answered = 0;
    const next = (client: Client): void => {
      client.send(requests[sent++ % requests.length], () => {
        answered += 1;
        if (answered === total) resolve();
        else if (sent < total) next(client);
      });
    };
    for (let i = 0; i < width; i++) next(clients.take());
  });
  clients.close();
}

/** Sends `rate` requests a second for so many seconds, whether or not answers come; returns latencies in ms. */
export async function openLoop(
  port: number,
  requests: readonly Buffer[],
  rate: number,
  seconds: number,
): Promise<Float64Array> {
  const total = rate * seconds;
  const latencies = new Float64Array(total);
  const clients = new Clients(port);
  await new Promise<void>((resolve) => {
    const begin = performance.now();
    let sent = 0;
    let answered = 0;
    const send = (): void => {
      const client = clients.take();
      const sentAt = performance.now();
      const index = sent++;
      client.send(requests[index % requests.length], () => {
        latencies[index] = performance.now() - sentAt;
        clients.give(client);
        if (++answered === total) resolve();
      });
    };
    const tick = (): void => {
      const due = Math.min(total, ((performance.now() - begin) * rate) / 1000);
      while (sent < due) send();
      if (sent < total) setTimeout(tick, 1);
    };
    tick();
  });
  clients.close();
  return latencies;
}

/** Reads so many streams at the same time to their ends; returns the number of events that came. */
export async function readStreams(port: number, requests: readonly Buffer[], streams: number): Promise<number> {
  const clients = new Clients(port);
  const counts = await Promise.all(
    Array.from(
      { length: streams },
      (_, i) =>
        new Promise<number>((resolve) => {
          const client = clients.take();
          client.send(requests[i % requests.length], () => resolve(client.events));
        }),
    ),
  );
  clients.close();
  return counts.reduce((sum, count) => sum + count, 0);
}
