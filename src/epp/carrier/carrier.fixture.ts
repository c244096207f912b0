import { connect, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { once } from 'node:events';
import type { Clock } from '../../router/clock.ts';
import type { AcceptCall, CallHandler, CallStream, Carrier, CarrierOptions } from './carrier.ts';
import { createCarrier } from './server.ts';

export const processPath = '/envoy.service.ext_proc.v3.ExternalProcessor/Process';

/** Time that passes when the test says so. */
export class ManualClock implements Clock {
  private time = 1;
  readonly timers = new Map<() => void, number>();

  now(): number {
    return this.time;
  }

  after(milliseconds: number, callback: () => void): () => void {
    const timer = (): void => callback();
    this.timers.set(timer, this.time + milliseconds);
    return () => this.timers.delete(timer);
  }

  advance(milliseconds: number): void {
    this.time += milliseconds;
    for (const [timer, at] of this.timers) {
      if (at <= this.time && this.timers.delete(timer)) timer();
    }
  }
}

/** What a call's handler was told; the test plugs in what it does. */
export class RecordedCall implements CallHandler {
  readonly stream: CallStream;
  readonly messages: Buffer[] = [];
  readonly closes: boolean[] = [];
  halfCloses = 0;
  drains = 0;
  readonly closed: Promise<void>;
  private settle: () => void = () => undefined;
  private readonly behaviour: Behaviour;

  constructor(stream: CallStream, behaviour: Behaviour) {
    this.stream = stream;
    this.behaviour = behaviour;
    this.closed = new Promise((resolve) => (this.settle = resolve));
  }

  onMessage(message: Buffer): void {
    this.messages.push(Buffer.from(message));
    this.behaviour.onMessage?.(this, message);
  }

  onHalfClose(): void {
    this.halfCloses += 1;
    this.behaviour.onHalfClose?.(this);
  }

  onDrain(): void {
    this.drains += 1;
    this.behaviour.onDrain?.(this);
  }

  onClose(broken: boolean): void {
    this.closes.push(broken);
    this.settle();
  }
}

export interface Behaviour {
  onAccept?: (call: RecordedCall) => void;
  onMessage?: (call: RecordedCall, message: Buffer) => void;
  onHalfClose?: (call: RecordedCall) => void;
  onDrain?: (call: RecordedCall) => void;
}

/** Sends every message back, and ends the call when the peer has. */
export const echo: Behaviour = {
  onMessage: (call, message) => call.stream.send(Buffer.from(message)),
  onHalfClose: (call) => call.stream.end(0),
};

/** A carrier on a free port of the loopback, with all that it told of. */
export class Rig {
  readonly clock = new ManualClock();
  readonly faults: Error[] = [];
  readonly calls: RecordedCall[] = [];
  readonly carrier: Carrier;
  port = 0;
  serving = true;
  private readonly listeners = new Set<() => void>();
  private readonly clients: { destroy(): void }[] = [];
  private readonly tls: CarrierOptions['tls'];

  constructor(behaviour: Behaviour | AcceptCall, tls: CarrierOptions['tls'] = null) {
    this.tls = tls;
    const accept: AcceptCall = (stream, context) => {
      if (typeof behaviour === 'function') return behaviour(stream, context);
      const call = new RecordedCall(stream, behaviour);
      this.calls.push(call);
      behaviour.onAccept?.(call);
      return call;
    };
    this.carrier = createCarrier({
      accept,
      tls,
      clock: this.clock,
      health: {
        serving: (service) => service === 'liveness' || this.serving,
        onChange: (listener) => {
          this.listeners.add(listener);
          return () => this.listeners.delete(listener);
        },
      },
      onFault: (fault) => this.faults.push(fault),
    });
  }

  async listen(): Promise<this> {
    this.port = (await this.carrier.listen('127.0.0.1', 0)).port;
    return this;
  }

  get listening(): number {
    return this.listeners.size;
  }

  setServing(serving: boolean): void {
    this.serving = serving;
    for (const listener of this.listeners) listener();
  }

  /** An HTTP/2 connection to it. */
  connect(): ClientHttp2Session {
    const secure = this.tls === null ? {} : { ca: this.tls.cert };
    const scheme = this.tls === null ? 'http' : 'https';
    const session = connect(`${scheme}://127.0.0.1:${this.port}`, {
      ...secure,
      peerMaxConcurrentStreams: 16_384,
      maxSessionMemory: 1_000,
    });
    session.on('error', () => undefined);
    this.clients.push(session);
    return session;
  }

  /** A bare TCP connection to it. */
  async tcp(): Promise<Socket> {
    const socket = connectTcp(this.port, '127.0.0.1');
    socket.on('error', () => undefined);
    this.clients.push(socket);
    await once(socket, 'connect');
    return socket;
  }

  async close(): Promise<void> {
    for (const client of this.clients) client.destroy();
    const drained = this.carrier.drain(0);
    this.clock.advance(0);
    await drained;
  }
}

/** A message as gRPC frames it. */
export function framed(message: Uint8Array, compressed = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = compressed;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** A call as its client sees it. */
export class ClientCall {
  readonly stream: ClientHttp2Stream;
  headers: IncomingHttpHeaders = {};
  trailers: IncomingHttpHeaders = {};
  bytes: Buffer = Buffer.alloc(0);
  readonly closed: Promise<void>;
  private readonly waiting = new Set<() => void>();

  constructor(session: ClientHttp2Session, headers: Record<string, string> = {}) {
    this.stream = session.request({
      ':method': 'POST',
      ':path': processPath,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    this.closed = new Promise((resolve) => this.stream.on('close', resolve));
    this.stream.on('error', () => undefined);
    this.stream.on('response', (headers) => (this.headers = headers));
    this.stream.on('trailers', (headers) => (this.trailers = headers));
    this.stream.on('data', (chunk: Buffer) => {
      this.bytes = Buffer.concat([this.bytes, chunk]);
      for (const check of this.waiting) check();
    });
  }

  send(...messages: Uint8Array[]): this {
    this.stream.write(Buffer.concat(messages.map((message) => framed(message))));
    return this;
  }

  /** `grpc-status`, wherever it stands. */
  get status(): string {
    return String(this.trailers['grpc-status'] ?? this.headers['grpc-status'] ?? '');
  }

  get statusText(): string {
    return String(this.trailers['grpc-message'] ?? this.headers['grpc-message'] ?? '');
  }

  /** The whole messages that have come. */
  get messages(): Buffer[] {
    const found: Buffer[] = [];
    for (let at = 0; at + 5 <= this.bytes.length;) {
      const end = at + 5 + this.bytes.readUInt32BE(at + 1);
      if (end > this.bytes.length) break;
      found.push(this.bytes.subarray(at + 5, end));
      at = end;
    }
    return found;
  }

  /** Waits until so many messages have come, or the call is over. */
  async received(count: number): Promise<Buffer[]> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = (): void => {
      if (this.messages.length >= count) resolve();
    };
    this.waiting.add(check);
    check();
    await Promise.race([promise, this.closed]);
    this.waiting.delete(check);
    return this.messages;
  }
}
