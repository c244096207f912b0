import { connect, type Socket } from 'node:net';
import {
  Flag,
  frame,
  FrameReader,
  FrameType,
  opening,
  preface,
  settings,
  settingsAcknowledged,
  windowUpdate,
  type Frame,
} from '../../test/epp-protocol/frames.ts';
import { framed, processPath } from '../../test/epp-protocol/grpc.ts';
import { bodyMessage, headersMessage } from '../../test/epp-protocol/messages.ts';
import { answerBody, chatPath, chatRequests } from '../proxy/payloads.ts';

const requestHeaders = {
  ':method': 'POST',
  ':scheme': 'http',
  ':authority': 'inference.example:8000',
  ':path': chatPath,
  'content-type': 'application/json',
  'user-agent': 'OpenAI/Python 2.8.0',
  accept: 'application/json',
  authorization: 'Bearer sk-0123456789abcdef0123456789abcdef',
  'x-forwarded-proto': 'http',
  'x-request-id': 'cc70358e-dedc-4c70-8276-99d12f80be62',
};
const responseHeaders = {
  ':status': '200',
  'content-type': 'application/json',
  'content-length': String(answerBody.length),
  'x-envoy-upstream-service-time': '140',
};

/** Frames of the request phase: three messages, as Envoy sends them. Their stream is 1 and is changed before they go. */
const requests = chatRequests.map((bytes) => {
  const body = bytes.subarray(bytes.indexOf('\r\n\r\n') + 4);
  return [
    opening(1, processPath),
    data(headersMessage('requestHeaders', requestHeaders, false)),
    data(bodyMessage('requestBody', body, false)),
    data(bodyMessage('requestBody', Buffer.alloc(0), true)),
  ];
});
const responses = [
  data(headersMessage('responseHeaders', responseHeaders, false)),
  data(bodyMessage('responseBody', Buffer.from(answerBody), false)),
  data(bodyMessage('responseBody', Buffer.alloc(0), true)),
];
const halfClose = frame(FrameType.data, Flag.endStream, 1, Buffer.alloc(0));

function data(message: Buffer): Buffer {
  return frame(FrameType.data, 0, 1, framed(message));
}

/** What a call is: the request alone (three messages in, two out) or the engine's answer, too (six in, five out). */
export type CallKind = 'request' | 'exchange';

const answersOf = { request: [2, 2], exchange: [2, 5] } as const;
/** Streams are numbered up to 2^31; a connection is left long before. */
const lastStream = 2 ** 30;
const window = 2 ** 30;

interface OpenCall {
  readonly startedAt: number;
  /** Messages that have come. */
  messages: number;
  /** Bytes of the message that is coming that are still missing, and of its head what has come. */
  missing: number;
  head: Buffer;
  readonly done: (milliseconds: number) => void;
}

/** A connection as Envoy has one for each of its threads. */
export class LoadConnection {
  private readonly socket: Socket;
  private readonly calls = new Map<number, OpenCall>();
  private readonly kind: CallKind;
  /** Frames that wait for room; `cost` is what they take of it. */
  private readonly queue: { readonly bytes: Buffer; readonly cost: number }[] = [];
  private nextStream = 1;
  /** Bytes of bodies that the other side still takes. */
  private allowance = 65_535;
  private consumed = 0;
  private sent = 0;

  private constructor(socket: Socket, kind: CallKind) {
    this.socket = socket;
    this.kind = kind;
    const reader = new FrameReader((one) => this.receive(one));
    socket.on('data', (bytes: Buffer) => {
      socket.cork();
      reader.take(bytes);
      socket.uncork();
    });
    socket.on('error', (error) => {
      throw error;
    });
    socket.on('close', () => {
      if (this.calls.size > 0) throw new Error(`the picker closed a connection with ${this.calls.size} calls on it`);
    });
    socket.write(Buffer.concat([preface, settings(window), windowUpdate(0, window)]));
  }

  static async open(port: number, kind: CallKind): Promise<LoadConnection> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject);
    });
    return new LoadConnection(socket, kind);
  }

  /** Makes a call; `done` gets the milliseconds that it took to be picked. */
  call(done: (milliseconds: number) => void): void {
    const stream = this.nextStream;
    this.nextStream += 2;
    if (stream > lastStream) throw new Error('too many calls for one connection');
    this.calls.set(stream, { startedAt: performance.now(), messages: 0, missing: 0, head: Buffer.alloc(0), done });
    this.send(requests[(this.sent += 1) % requests.length], stream);
  }

  close(): void {
    this.socket.destroy();
  }

  private send(frames: readonly Buffer[], stream: number): void {
    const bytes = Buffer.concat(frames);
    let cost = 0;
    for (let at = 0; at < bytes.length;) {
      const length = bytes.readUIntBE(at, 3);
      bytes.writeUInt32BE(stream, at + 5);
      if (bytes[at + 3] === FrameType.data) cost += length;
      at += 9 + length;
    }
    this.queue.push({ bytes, cost });
    this.flush();
  }

  private flush(): void {
    for (let next = this.queue.at(0); next !== undefined && next.cost <= this.allowance; next = this.queue.at(0)) {
      this.queue.shift();
      this.allowance -= next.cost;
      this.socket.write(next.bytes);
    }
  }

  private receive(one: Frame): void {
    const { type, flags, stream, payload } = one;
    if (type === FrameType.settings && (flags & Flag.acknowledge) === 0) this.socket.write(settingsAcknowledged);
    else if (type === FrameType.windowUpdate && stream === 0) {
      this.allowance += payload.readUInt32BE();
      this.flush();
    } else if (type === FrameType.goAway) throw new Error(`the picker goes away: ${payload.toString('latin1')}`);
    else if (type === FrameType.ping && (flags & Flag.acknowledge) === 0)
      this.socket.write(frame(FrameType.ping, Flag.acknowledge, 0, payload));
    const call = this.calls.get(stream);
    if (call !== undefined) this.progress(call, one);
  }

  private progress(call: OpenCall, { type, flags, stream, payload }: Frame): void {
    if (type === FrameType.reset) throw new Error(`the picker reset a call: ${payload.readUInt32BE()}`);
    if (type === FrameType.data) {
      this.consume(payload.length);
      count(call, payload);
      this.answered(call, stream);
    }
    if ((flags & Flag.endStream) === 0 || (type !== FrameType.data && type !== FrameType.headers)) return;
    const [, all] = answersOf[this.kind];
    if (call.messages !== all) throw new Error(`a call ended after ${call.messages} answers`);
    this.calls.delete(stream);
    call.done(performance.now() - call.startedAt);
  }

  private answered(call: OpenCall, stream: number): void {
    const [picked, all] = answersOf[this.kind];
    if (call.missing > 0 || call.head.length > 0) return;
    if (call.messages === all) this.send([halfClose], stream);
    else if (call.messages === picked) this.send(responses, stream);
  }

  private consume(bytes: number): void {
    this.consumed += bytes;
    if (this.consumed < 2 ** 24) return;
    this.socket.write(windowUpdate(0, this.consumed));
    this.consumed = 0;
  }
}

/** Counts the messages that end in these bytes. */
function count(call: OpenCall, payload: Buffer): void {
  let rest = payload;
  while (rest.length > 0) {
    if (call.missing > 0) {
      const taken = Math.min(call.missing, rest.length);
      call.missing -= taken;
      rest = rest.subarray(taken);
      if (call.missing === 0) call.messages += 1;
      continue;
    }
    const head = call.head.length === 0 ? rest : Buffer.concat([call.head, rest]);
    if (head.length < 5) {
      call.head = Buffer.from(head);
      return;
    }
    call.missing = head.readUInt32BE(1);
    call.head = Buffer.alloc(0);
    rest = head.subarray(5);
    if (call.missing === 0) call.messages += 1;
  }
}

/** Keeps so many calls under way on each connection until `calls` have been made. */
export async function closedLoop(connections: readonly LoadConnection[], each: number, calls: number): Promise<void> {
  let left = calls;
  const lane = (connection: LoadConnection, resolve: () => void): void => {
    if (left <= 0) {
      resolve();
      return;
    }
    left -= 1;
    connection.call(() => lane(connection, resolve));
  };
  const lanes = connections.flatMap((connection) => Array.from({ length: each }, () => connection));
  await Promise.all(lanes.map((connection) => new Promise<void>((resolve) => lane(connection, resolve))));
}

/** Makes `rate` calls a second, whatever becomes of them; resolves to the milliseconds that each took. */
export async function openLoop(
  connections: readonly LoadConnection[],
  rate: number,
  seconds: number,
): Promise<number[]> {
  const calls = rate * seconds;
  const took: number[] = [];
  const start = performance.now();
  const { promise, resolve } = Promise.withResolvers<number[]>();
  let made = 0;
  const timer = setInterval(() => {
    const due = Math.min(calls, ((performance.now() - start) * rate) / 1000);
    for (; made < due; made++)
      connections[made % connections.length].call((milliseconds) => {
        took.push(milliseconds);
        if (took.length === calls) resolve(took);
      });
    if (made >= calls) clearInterval(timer);
  }, 1);
  return promise;
}
