import { ChunkFrame } from './chunk-frame.ts';
import { KeptBytes } from './kept-bytes.ts';
import { LineScanner } from './lines.ts';
import { CR, LF } from './octets.ts';
import { checkTrailers, parseHead, RequestHead } from './request-head.ts';

/** Where parsed requests go. */
export interface RequestSink {
  onHead(head: RequestHead): void;
  /** Body bytes in bytes[start, end), which belong to the reader again after the call. */
  onBody(bytes: Buffer, start: number, end: number): void;
}

/** Why bytes are refused. */
export type Refusal = 'malformed' | 'headers_too_large' | 'expectation_failed';

const State = { start: 0, startLf: 1, head: 2, fixedBody: 3, chunks: 4, trailers: 5, done: 6 } as const;

/** Bytes of a request's line and headers at most, and of its trailers. */
export const maxHeadBytes = 16 * 1024;

/**
 * One connection's parser of HTTP/1.1 requests (RFC 9112), fed with whatever a read returns. Strict, because what is
 * read differently here and by whatever passed the request on would be taken for somebody else's request.
 */
export class RequestParser {
  /** What was invalid, and how it is to be called. */
  fault = '';
  refusal: Refusal = 'malformed';
  /** Whether any byte of the request has come. */
  started = false;
  private readonly sink: RequestSink;
  private readonly lines = new LineScanner();
  private readonly chunks = new ChunkFrame();
  private state: number = State.start;
  /** Body bytes still to come by Content-Length. */
  private remaining = 0;
  /** Bytes of empty lines before the request. */
  private blankBytes = 0;
  /** An incomplete head or trailer section, kept from one read to the next. */
  private readonly partial = new KeptBytes();

  constructor(sink: RequestSink) {
    this.sink = sink;
  }

  /** Expects a new request. */
  begin(): void {
    this.state = State.start;
    this.started = false;
    this.blankBytes = 0;
  }

  /** Whether the request is complete; what follows is another one, for which `begin` must be called. */
  get isDone(): boolean {
    return this.state === State.done;
  }

  /** Parses up to the end of a request; returns where that is, or `to`, or -1 where the bytes are invalid. */
  push(bytes: Buffer, from: number, to: number): number {
    this.started = true;
    let at = from;
    while (at >= 0 && at < to && this.state !== State.done) at = this.step(bytes, at, to);
    return at;
  }

  private step(bytes: Buffer, at: number, to: number): number {
    switch (this.state) {
      case State.start:
        return this.readStart(bytes[at], at);
      case State.startLf:
        if (bytes[at] !== LF) return this.fail(brokenLine);
        this.state = State.start;
        return at + 1;
      case State.head:
      case State.trailers:
        return this.readLines(bytes, at, to);
      case State.fixedBody:
        return this.readBody(bytes, at, Math.min(to, at + this.remaining));
      default:
        return this.readChunks(bytes, at, to);
    }
  }

  /** RFC 9112 §2.2: empty lines before a request are passed over. */
  private readStart(byte: number, at: number): number {
    if (byte !== CR) {
      this.state = State.head;
      this.lines.begin(true);
      return at;
    }
    this.blankBytes += 2;
    if (this.blankBytes > maxHeadBytes) return this.fail(tooLarge, 'headers_too_large');
    this.state = State.startLf;
    return at + 1;
  }

  private readLines(bytes: Buffer, at: number, to: number): number {
    const room = maxHeadBytes - this.lines.length;
    const end = this.lines.scan(bytes, at, Math.min(to, at + room));
    if (end < 0) return this.fail(brokenLine);
    if (!this.lines.found) {
      if (this.lines.length === maxHeadBytes) return this.fail(tooLarge, 'headers_too_large');
      this.partial.add(bytes, at, end);
      return end;
    }
    const text = this.textUpTo(bytes, at, end);
    const fault = this.state === State.head ? this.takeHead(text) : this.takeTrailers(text);
    return fault === null ? end : this.fail(fault);
  }

  private textUpTo(bytes: Buffer, from: number, to: number): string {
    const { partial } = this;
    if (partial.bytes === null) return bytes.toString('latin1', from, to);
    const text = partial.add(bytes, from, to).toString('latin1', 0, partial.length);
    partial.clear();
    return text;
  }

  private takeHead(text: string): string | null {
    const head = new RequestHead();
    const fault = parseHead(text, head);
    if (fault !== null) return fault;
    // HTTP/1.0 knows no expectations (RFC 9110 §10.1.1).
    if (head.minor === 1 && head.expectation !== '' && head.expectation !== '100-continue') {
      this.refusal = 'expectation_failed';
      return 'the only expectation that can be met is 100-continue';
    }
    if (head.chunked) {
      this.chunks.begin();
      this.state = State.chunks;
    } else {
      this.remaining = head.contentLength;
      this.state = head.contentLength > 0 ? State.fixedBody : State.done;
    }
    this.sink.onHead(head);
    return null;
  }

  private takeTrailers(text: string): string | null {
    const fault = checkTrailers(text);
    if (fault === null) this.state = State.done;
    return fault;
  }

  private readBody(bytes: Buffer, at: number, end: number): number {
    this.remaining -= end - at;
    if (this.remaining === 0) this.state = State.done;
    this.sink.onBody(bytes, at, end);
    return end;
  }

  private readChunks(bytes: Buffer, at: number, to: number): number {
    const { chunks } = this;
    if (chunks.inData) {
      const end = Math.min(to, at + chunks.remaining);
      chunks.took(end - at);
      this.sink.onBody(bytes, at, end);
      return end;
    }
    const end = chunks.read(bytes, at, to);
    if (end < 0) return this.fail(chunks.fault);
    if (chunks.isOver) {
      this.state = State.trailers;
      this.lines.begin(false);
    }
    return end;
  }

  private fail(fault: string, refusal?: Refusal): -1 {
    this.fault = fault;
    if (refusal !== undefined) this.refusal = refusal;
    return -1;
  }
}

const brokenLine = 'a line holds a control character or does not end in CRLF';
const tooLarge = `the headers are larger than the limit of ${maxHeadBytes} bytes`;
