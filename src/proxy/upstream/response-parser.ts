import { ChunkFrame } from '../http/chunk-frame.ts';
import { KeptBytes } from '../http/kept-bytes.ts';
import { LineScanner } from '../http/lines.ts';
import { parseHead, ResponseHead } from './response-head.ts';

/** Where the parsed answer goes. */
export interface ResponseSink {
  onHead(status: number, headers: readonly string[]): void;
  /** At most once for each `push`: all body bytes of one read, in a buffer of their own. */
  onBody(chunk: Buffer): void;
}

/** Whether the answer goes on, is complete, or is no valid HTTP. */
export type Progress = 'more' | 'done' | 'invalid';

const State = { head: 0, fixedBody: 1, bodyUntilClose: 2, chunks: 3, trailers: 4, done: 5 } as const;

const maxHeadBytes = 65_536;
const prefix = Buffer.from('HTTP/1.', 'latin1');

/**
 * One connection's parser of HTTP/1.1 answers (RFC 9112), fed with whatever a read returns. Strict, because what is
 * read differently here and in the engine would be taken for somebody else's answer.
 *
 * The bytes given to `push` belong to the caller and may be overwritten by both: body bytes of several HTTP chunks are
 * moved together in place, then copied out once.
 */
export class ResponseParser {
  readonly head = new ResponseHead();
  /** What was invalid. */
  fault = '';
  /** Whether any byte of the answer has come. */
  started = false;
  /** Whether its head has been handed on. */
  headSeen = false;
  /** Whether bytes came after its end, in the same read. */
  surplus = false;
  private readonly sink: ResponseSink;
  private state: number = State.done;
  private readonly lines = new LineScanner();
  private readonly chunks = new ChunkFrame();
  private withoutBody = false;
  /** Body bytes still to come by Content-Length. */
  private remaining = 0;
  /** An incomplete head, kept from one read to the next. */
  private readonly partial = new KeptBytes();
  /** The body bytes of this read, moved together. */
  private outStart = 0;
  private outEnd = 0;

  constructor(sink: ResponseSink) {
    this.sink = sink;
  }

  /** Expects a new answer; one to a HEAD request ends with its head. */
  begin(withoutBody: boolean): void {
    this.state = State.head;
    this.withoutBody = withoutBody;
    this.started = false;
    this.headSeen = false;
    this.surplus = false;
    this.lines.begin(true);
    this.partial.clear();
  }

  push(bytes: Buffer, length: number): Progress {
    this.started = true;
    this.outStart = 0;
    this.outEnd = 0;
    let at = 0;
    while (at >= 0 && at < length && this.state !== State.done) at = this.step(bytes, at, length);
    // What came before a fault is handed on as it would have been had it come alone.
    if (this.outEnd > this.outStart) this.sink.onBody(copied(bytes, this.outStart, this.outEnd));
    if (at < 0) return 'invalid';
    if (this.state !== State.done) return 'more';
    this.surplus = at < length;
    return 'done';
  }

  /** Whether the connection's end is the proper end of the answer. */
  endsWithConnection(): boolean {
    return this.state === State.bodyUntilClose;
  }

  /** Each step returns where to go on, or -1 after a fault. */
  private step(bytes: Buffer, at: number, length: number): number {
    switch (this.state) {
      case State.head:
        return this.readHead(bytes, at, length);
      case State.fixedBody:
        return this.readBody(bytes, at, Math.min(length, at + this.remaining));
      case State.bodyUntilClose:
        this.take(bytes, at, length);
        return length;
      case State.trailers:
        return this.readTrailers(bytes, at, length);
      default:
        return this.readChunks(bytes, at, length);
    }
  }

  private readHead(bytes: Buffer, at: number, length: number): number {
    const end = this.scanLines(bytes, at, length);
    if (end < 0) return -1;
    if (!this.lines.found) {
      this.partial.add(bytes, at, end);
      return this.startsLikeHttp() ? end : this.fail('the answer does not start with HTTP/1.');
    }
    const fault = this.parseKept(bytes, at, end);
    if (fault !== null) return this.fail(fault);
    this.lines.goOn();
    if (this.head.status >= 200) this.beginBody();
    return end;
  }

  private parseKept(bytes: Buffer, at: number, end: number): string | null {
    const { partial } = this;
    if (partial.bytes === null) return parseHead(bytes, at, end, this.head);
    const fault = parseHead(partial.add(bytes, at, end), 0, partial.length, this.head);
    partial.clear();
    return fault;
  }

  /** Tells a stranger (SSH, TLS, HTTP/2) at once, who might never send an empty line. */
  private startsLikeHttp(): boolean {
    const { bytes, length } = this.partial;
    if (bytes === null) return true;
    const known = Math.min(prefix.length, length);
    return bytes.compare(prefix, 0, known, 0, known) === 0;
  }

  private beginBody(): void {
    const { status, chunked, contentLength } = this.head;
    const bodiless = this.withoutBody || status === 204 || status === 304;
    if (bodiless) {
      this.state = State.done;
      // A 204 that announces a body may well send it: the next answer must not start with it.
      if (status === 204 && (chunked || contentLength > 0)) this.head.keepAlive = false;
    } else if (chunked) {
      this.chunks.begin();
      this.state = State.chunks;
    } else if (contentLength >= 0) {
      this.remaining = contentLength;
      this.state = contentLength === 0 ? State.done : State.fixedBody;
    } else {
      this.state = State.bodyUntilClose;
      this.head.keepAlive = false;
    }
    this.headSeen = true;
    this.sink.onHead(status, this.head.headers);
  }

  private readBody(bytes: Buffer, at: number, end: number): number {
    this.take(bytes, at, end);
    this.remaining -= end - at;
    if (this.remaining === 0) this.state = State.done;
    return end;
  }

  private readChunks(bytes: Buffer, at: number, length: number): number {
    const { chunks } = this;
    if (chunks.inData) {
      const end = Math.min(length, at + chunks.remaining);
      this.take(bytes, at, end);
      chunks.took(end - at);
      return end;
    }
    const end = chunks.read(bytes, at, length);
    if (end < 0) return this.fail(chunks.fault);
    if (chunks.isOver) {
      this.state = State.trailers;
      this.lines.begin(false);
    }
    return end;
  }

  /** Adds body bytes to those of this read; several pieces become one. */
  private take(bytes: Buffer, from: number, to: number): void {
    if (this.outEnd === this.outStart) {
      this.outStart = from;
      this.outEnd = to;
      return;
    }
    bytes.copyWithin(this.outEnd, from, to);
    this.outEnd += to - from;
  }

  /** Trailers come after the answer's headers have gone on, so nobody can be told: they are dropped. */
  private readTrailers(bytes: Buffer, at: number, length: number): number {
    const end = this.scanLines(bytes, at, length);
    if (this.lines.found) this.state = State.done;
    return end;
  }

  /** Goes to just behind the next empty line, or to `length`. */
  private scanLines(bytes: Buffer, from: number, length: number): number {
    const end = this.lines.scan(bytes, from, length);
    if (end < 0) return this.fail('a line holds a control character or does not end in CRLF');
    return this.lines.length > maxHeadBytes ? this.fail(`the head is over ${maxHeadBytes} bytes`) : end;
  }

  private fail(fault: string): -1 {
    this.fault = fault;
    return -1;
  }
}

/** Small pieces come from Buffer's pool: a slice of it costs a fraction of an allocation of its own. */
function copied(bytes: Buffer, from: number, to: number): Buffer {
  const chunk = Buffer.allocUnsafe(to - from);
  bytes.copy(chunk, 0, from, to);
  return chunk;
}
