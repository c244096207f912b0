import { connect, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2';

export const processPath = '/envoy.service.ext_proc.v3.ExternalProcessor/Process';
export const healthPath = '/grpc.health.v1.Health/Check';

/** How a call ended. */
export interface Status {
  /** The gRPC status; -1 where the stream broke without one. */
  readonly code: number;
  readonly message: string;
}

/** One HTTP/2 connection with a gRPC server. */
export class Connection {
  readonly session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.session = session;
  }

  /** Rejects where nobody listens, or speaks HTTP/2; certificates are taken as they are. */
  static async open(address: string, tls = false): Promise<Connection> {
    const session = connect(`${tls ? 'https' : 'http'}://${address}`, {
      rejectUnauthorized: false,
      // Megabytes; the default of 10 is less than thousands of calls take.
      maxSessionMemory: 2000,
      settings: { initialWindowSize: 1 << 20 },
    });
    session.setMaxListeners(0);
    await new Promise<void>((resolve, reject) => {
      session.once('remoteSettings', () => resolve()).once('error', reject);
      session.once('close', () => reject(new Error('closed before it was open')));
    });
    // A server that is killed breaks its connections; the calls on them say so.
    session.on('error', () => undefined);
    return new Connection(session);
  }

  call(path = processPath): Call {
    const stream = this.session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    return new Call(stream);
  }

  /** Asks for one answer; rejects with the status where there is none. */
  async unary(path: string, message: Buffer): Promise<Buffer> {
    const call = this.call(path);
    call.send(message);
    call.halfClose();
    const answer = await call.next();
    const status = await call.status;
    if (answer !== null) return answer;
    throw Object.assign(new Error(`${path}: status ${status.code} ${status.message}`), { code: status.code });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.session.closed || this.session.destroyed) resolve();
      else this.session.once('close', () => resolve());
      this.session.destroy();
    });
  }
}

/** One call with messages both ways. */
export class Call {
  readonly stream: ClientHttp2Stream;
  readonly status: Promise<Status>;
  /** All messages that have come. */
  readonly messages: Buffer[] = [];
  over = false;
  private taken = 0;
  private rest: Buffer = Buffer.alloc(0);
  private news = Promise.withResolvers<void>();
  private trailers: IncomingHttpHeaders = {};

  constructor(stream: ClientHttp2Stream) {
    this.stream = stream;
    const ended = Promise.withResolvers<Status>();
    this.status = ended.promise;
    stream.on('response', (headers) => (this.trailers = headers));
    stream.on('trailers', (headers) => (this.trailers = headers));
    stream.on('data', (bytes: Buffer) => this.receive(bytes));
    stream.on('error', () => undefined);
    stream.on('close', () => {
      this.over = true;
      ended.resolve(statusIn(this.trailers));
      this.notify();
    });
  }

  /** Frames and sends a message. */
  send(message: Buffer): void {
    this.write(framed(message));
  }

  /** Sends bytes as they are. */
  write(bytes: Buffer): void {
    if (!this.stream.destroyed && !this.stream.writableEnded) this.stream.write(bytes);
  }

  /** Says that nothing more will be sent. */
  halfClose(): void {
    if (!this.stream.destroyed) this.stream.end();
  }

  /** Leaves as Envoy does when its client is gone. */
  reset(): void {
    this.stream.close(8);
  }

  /** The next message; null where the call is over. */
  async next(): Promise<Buffer | null> {
    while (this.taken === this.messages.length && !this.over) await this.news.promise;
    if (this.taken === this.messages.length) return null;
    return this.messages[this.taken++];
  }

  private receive(bytes: Buffer): void {
    this.rest = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    while (this.rest.length >= 5) {
      const end = 5 + this.rest.readUInt32BE(1);
      if (this.rest.length < end) break;
      this.messages.push(this.rest.subarray(5, end));
      this.rest = this.rest.subarray(end);
    }
    this.notify();
  }

  private notify(): void {
    this.news.resolve();
    this.news = Promise.withResolvers();
  }
}

/** A message with the five bytes before it. */
export function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function statusIn(trailers: IncomingHttpHeaders): Status {
  const code = trailers['grpc-status'];
  const message = trailers['grpc-message'];
  return {
    code: code === undefined ? -1 : Number(code),
    message: typeof message === 'string' ? decodeURIComponent(message) : '',
  };
}
