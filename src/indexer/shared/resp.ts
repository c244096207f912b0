import { errorOfReply, StoreError } from './store-error.ts';

/** An answer of the server; an error inside an array is an answer too. */
export type Reply = string | number | Buffer | null | StoreError | readonly Reply[];

/** No command of ours has a longer answer; a server that sends more must not fill the memory. */
export const replyLimitBytes = 8 * 1024 * 1024;
const deepest = 5;
const mostElements = 65_536;
const longestLine = 1024;
const [plus, minus, colon, dollar, star] = Buffer.from('+-:$*');
const [carriageReturn, lineFeed] = Buffer.from('\r\n');

/** A command as the protocol (RESP2) writes it: an array of byte strings. */
export function encodeCommand(args: readonly (string | Uint8Array)[]): Buffer {
  const parts: (Uint8Array | string)[] = [`*${args.length}\r\n`];
  for (const arg of args) parts.push(`$${Buffer.byteLength(arg)}\r\n`, arg, '\r\n');
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
}

/** The reply is not whole yet. */
const incomplete = Symbol('incomplete');
type Parsed = Reply | typeof incomplete;

/**
 * Takes replies out of a stream of bytes. Strict: lengths are plain decimals, lines end in CRLF, nesting, numbers of
 * elements and the size of a reply are bounded; anything else is a StoreError, after which the stream is of no use.
 */
export class ReplyReader {
  private data: Buffer = Buffer.alloc(0);
  private chunks: Buffer[] = [];
  private held = 0;
  /** Bytes that must be there before another look is worth while. */
  private wanted = 1;
  private at = 0;
  private elements = 0;

  /** More bytes; calls back with every reply that is whole now. Throws StoreError. */
  push(chunk: Buffer, onReply: (reply: Reply) => void): void {
    this.chunks.push(chunk);
    this.held += chunk.length;
    if (this.held < this.wanted) return;
    this.data = Buffer.concat([this.data, ...this.chunks]);
    this.chunks = [];
    for (;;) {
      this.at = 0;
      this.elements = 0;
      this.wanted = 1;
      const reply = this.data.length === 0 ? incomplete : this.parse(0);
      if (reply === incomplete) break;
      this.data = this.data.subarray(this.at);
      this.held = this.data.length;
      onReply(reply);
    }
    if (Math.max(this.held, this.wanted) > replyLimitBytes) throw rubbish('a reply over 8 MiB');
  }

  private parse(depth: number): Parsed {
    const line = this.line();
    if (line === null) return incomplete;
    const text = line.subarray(1).toString('latin1');
    switch (line[0]) {
      case plus:
        return text;
      case minus:
        return errorOfReply(text);
      case colon:
        return integer(text);
      case dollar:
        return this.bulk(integer(text));
      case star:
        return this.array(integer(text), depth);
      default:
        throw rubbish('a reply of no known type');
    }
  }

  private line(): Buffer | null {
    const end = this.data.indexOf(lineFeed, this.at);
    const length = (end < 0 ? this.data.length : end) - this.at;
    if (length > longestLine) throw rubbish('a line without an end');
    if (end < 0) {
      this.wanted = this.data.length + 1;
      return null;
    }
    if (length < 2 || this.data[end - 1] !== carriageReturn) throw rubbish('a line that ends otherwise than CRLF');
    const line = this.data.subarray(this.at, end - 1);
    this.at = end + 1;
    return line;
  }

  private bulk(length: number): Parsed {
    if (length === -1) return null;
    if (length < 0 || length > replyLimitBytes) throw rubbish('a string of impossible length');
    const end = this.at + length;
    if (end + 2 > this.data.length) {
      this.wanted = end + 2;
      return incomplete;
    }
    if (this.data[end] !== carriageReturn || this.data[end + 1] !== lineFeed) {
      throw rubbish('a string of another length than it says');
    }
    const value = this.data.subarray(this.at, end);
    this.at = end + 2;
    return value;
  }

  private array(length: number, depth: number): Parsed {
    if (length === -1) return null;
    this.elements += length;
    if (length < 0 || this.elements > mostElements) throw rubbish('an array of impossible length');
    if (depth === deepest) throw rubbish('arrays nested too deeply');
    const values: Reply[] = [];
    while (values.length < length) {
      const value = this.at < this.data.length ? this.parse(depth + 1) : this.more();
      if (value === incomplete) return incomplete;
      values.push(value);
    }
    return values;
  }

  private more(): typeof incomplete {
    this.wanted = this.data.length + 1;
    return incomplete;
  }
}

function integer(text: string): number {
  if (!/^-?[0-9]{1,15}$/.test(text)) throw rubbish('a length or number that is none');
  return Number(text);
}

function rubbish(what: string): StoreError {
  return new StoreError('Misbehaving', `the server sent ${what}: is it a Redis or Valkey, with TLS as configured?`);
}
