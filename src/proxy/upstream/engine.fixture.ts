import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Clock } from '../../router/clock.ts';
import type { UpstreamError, UpstreamHandler, UpstreamRequest, UpstreamTarget } from './client.ts';

/** Time that passes when the test says so. */
export class ManualClock implements Clock {
  private time = 1;
  private readonly timers = new Set<{ readonly at: number; readonly callback: () => void }>();

  now(): number {
    return this.time;
  }

  after(milliseconds: number, callback: () => void): () => void {
    const timer = { at: this.time + milliseconds, callback };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  /** In small steps, so that a timer set by a timer fires when it is due. */
  advance(milliseconds: number): void {
    for (const end = this.time + milliseconds; this.time < end;) {
      this.time = Math.min(end, this.time + 100);
      for (const timer of [...this.timers].filter((one) => one.at <= this.time)) {
        this.timers.delete(timer);
        timer.callback();
      }
    }
  }

  /** Time passes and no timer fires, as while the event loop is blocked. */
  jump(milliseconds: number): void {
    this.time += milliseconds;
  }

  get pending(): number {
    return this.timers.size;
  }
}

/** Keeps what it is told, and complains about what it should not be told. */
export class Recorder implements UpstreamHandler {
  status = 0;
  headers: readonly string[] = [];
  chunks: Buffer[] = [];
  size = 0;
  ended = false;
  error: UpstreamError | null = null;
  /** Calls that break the contract's order. */
  readonly misordered: string[] = [];
  readonly headCame: Promise<void>;
  readonly over: Promise<void>;
  onChunk: (chunk: Buffer) => boolean = () => true;
  onStatus: () => void = () => undefined;
  private settleHead: () => void = () => undefined;
  private settle: () => void = () => undefined;

  constructor() {
    this.headCame = new Promise((resolve) => (this.settleHead = resolve));
    this.over = new Promise((resolve) => (this.settle = resolve));
  }

  onHead(status: number, headers: readonly string[]): void {
    if (this.status !== 0 || this.isOver()) this.misordered.push('head');
    this.status = status;
    this.headers = headers;
    this.settleHead();
    this.onStatus();
  }

  onData(chunk: Buffer): boolean {
    if (this.status === 0 || this.isOver()) this.misordered.push('data');
    this.chunks.push(chunk);
    this.size += chunk.length;
    return this.onChunk(chunk);
  }

  onEnd(): void {
    if (this.status === 0 || this.isOver()) this.misordered.push('end');
    this.ended = true;
    this.settle();
  }

  onError(error: UpstreamError): void {
    if (this.isOver()) this.misordered.push('error');
    this.error = error;
    this.settle();
  }

  get body(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }

  header(name: string): string | undefined {
    for (let i = 0; i < this.headers.length; i += 2) {
      if (this.headers[i].toLowerCase() === name) return this.headers[i + 1];
    }
    return undefined;
  }

  private isOver(): boolean {
    return this.ended || this.error !== null;
  }
}

/** Answers one request that has come whole; `count` is the number of requests so far, from 1. */
export type Answerer = (socket: Socket, request: string, count: number) => void;

/** An engine made of a bare socket, so that it can misbehave. */
export class Engine {
  readonly requests: string[] = [];
  readonly sockets: Socket[] = [];
  /** One object, as the pool's key must be. */
  readonly target: UpstreamTarget;
  private readonly server: Server;
  private readonly answer: Answerer;

  constructor(server: Server, answer: Answerer, port: number) {
    this.server = server;
    this.answer = answer;
    this.target = { host: '127.0.0.1', port };
  }

  get connections(): number {
    return this.sockets.length;
  }

  accept(socket: Socket): void {
    this.sockets.push(socket);
    let bytes = '';
    socket.on('error', () => socket.destroy());
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      bytes += text;
      if (!isWhole(bytes)) return;
      this.requests.push(bytes);
      const request = bytes;
      bytes = '';
      this.answer(socket, request, this.requests.length);
    });
  }

  /** Resolves when the first so many connections have been closed. */
  async closed(count: number): Promise<void> {
    // Not events.once, which rejects when the connection is reset.
    const open = this.sockets.slice(0, count).filter((socket) => !socket.closed);
    await Promise.all(open.map((socket) => new Promise((resolve) => socket.once('close', resolve))));
  }

  /** Accepts no more connections; those that stand stay. */
  stopListening(): void {
    this.server.close();
  }

  /** Resolves when the client holds no connection any more: one that leaks hangs the test. */
  async close(): Promise<void> {
    if (this.server.listening) this.server.close();
    await this.closed(this.sockets.length);
  }
}

function isWhole(bytes: string): boolean {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return false;
  const length = /\r\ncontent-length: *(\d+)/i.exec(bytes.slice(0, headEnd))?.[1] ?? '0';
  return bytes.length >= headEnd + 4 + Number(length);
}

export async function startEngine(answer: Answerer): Promise<Engine> {
  return listening(createServer({ noDelay: true }), 'connection', answer);
}

export async function startTlsEngine(answer: Answerer, pem: { key: string; cert: string }): Promise<Engine> {
  const server = createTlsServer({ ...pem, ALPNProtocols: ['http/1.1'] });
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  return listening(server, 'secureConnection', answer);
}

async function listening(server: Server, event: string, answer: Answerer): Promise<Engine> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the engine listens on no port');
  const engine = new Engine(server, answer, address.port);
  server.on(event, (socket: Socket) => engine.accept(socket));
  return engine;
}

/** A POST with a small body, unless told otherwise. */
export function post(changes: Partial<UpstreamRequest> = {}): UpstreamRequest {
  const headers = 'content-type: application/json\r\n';
  return { method: 'POST', path: '/v1/completions', headers, body: Buffer.from('{}'), connectTimeout: 0, ...changes };
}

/** Until the event loop has turned so many times: lets things happen that must not happen. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}
