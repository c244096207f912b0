import type { MalformedReason } from './counters.ts';

/** Bytes that are no batch of KV events; thrown inside the decoder only, which counts it by its reason. */
export class MalformedError extends Error {
  override readonly name = 'MalformedError';
  readonly reason: MalformedReason;

  constructor(reason: MalformedReason) {
    super(`malformed KV events: ${reason}`);
    this.reason = reason;
  }
}

/** What the next value is; `other` is a boolean, float, extension or map. */
export type ValueKind = 'nil' | 'integer' | 'text' | 'bytes' | 'list' | 'other';

/** The text that was read last in some place. */
export interface LastText {
  bytes: Uint8Array;
  text: string;
}

const none: Uint8Array = new Uint8Array(0);
const two32 = 0x1_0000_0000;
const latin1 = new TextDecoder('latin1');
const utf8 = new TextDecoder();

/**
 * Walks over msgpack without building values. Written by hand because the bytes are not to be trusted and come at
 * hundreds of thousands of blocks a second: a length is believed only as far as bytes follow, integers of 64 bits are
 * two halves, and token ids go straight into the caller's array.
 */
export class MsgpackReader {
  /** Place of the next byte. */
  at = 0;
  /** Halves of the last integer or hash read. */
  low = 0;
  high = 0;
  private bytes: Uint8Array = none;

  reset(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.at = 0;
  }

  /** Nil is taken, anything else left. */
  takeNil(): boolean {
    if (this.bytes[this.at] !== 0xc0) return false;
    this.at += 1;
    return true;
  }

  isMap(): boolean {
    const byte = this.bytes[this.at];
    return (byte & 0xf0) === 0x80 || byte === 0xde || byte === 0xdf;
  }

  kind(): ValueKind {
    return kinds[this.peek()];
  }

  /** Elements of a list; never more than bytes follow. */
  list(): number {
    const byte = this.byte();
    if ((byte & 0xf0) === 0x90) return this.believable(byte & 0x0f, 1);
    if (byte === 0xdc) return this.believable(this.unsigned(2), 1);
    if (byte === 0xdd) return this.believable(this.unsigned(4), 1);
    throw new MalformedError('type');
  }

  /** Entries of a map; never more than bytes follow. */
  map(): number {
    const byte = this.byte();
    if ((byte & 0xf0) === 0x80) return this.believable(byte & 0x0f, 2);
    if (byte === 0xde) return this.believable(this.unsigned(2), 2);
    if (byte === 0xdf) return this.believable(this.unsigned(4), 2);
    throw new MalformedError('type');
  }

  /** An integer of at most `most`, and at least 0. */
  integer(most: number): number {
    const byte = this.bytes[this.at];
    if (byte < 0x80 && byte <= most) {
      this.at += 1;
      return byte;
    }
    this.integer64();
    const value = this.high * two32 + this.low;
    if (value > most) throw new MalformedError('range');
    return value;
  }

  /** Token ids, 32 bits each, straight into `out`, which must have room for `count`. */
  tokens(count: number, out: Uint32Array): void {
    const { bytes } = this;
    let { at } = this;
    for (let i = 0; i < count; i++) {
      const byte = bytes[at];
      if (byte < 0x80) {
        out[i] = byte;
        at += 1;
      } else if (byte === 0xcd && at + 2 < bytes.length) {
        // Most vocabularies: ids of two bytes.
        out[i] = (bytes[at + 1] << 8) | bytes[at + 2];
        at += 3;
      } else if (byte === 0xce && at + 4 < bytes.length) {
        out[i] = ((bytes[at + 1] << 24) | (bytes[at + 2] << 16) | (bytes[at + 3] << 8) | bytes[at + 4]) >>> 0;
        at += 5;
      } else {
        this.at = at;
        out[i] = this.integer(0xffffffff);
        at = this.at;
      }
    }
    this.at = at;
  }

  /** A block's hash into `low` and `high`: an integer of 64 bits, signed or not, or bytes, whose last eight count. */
  hash(): void {
    const byte = this.peek();
    if (byte === 0xcf && this.at + 9 <= this.bytes.length) {
      this.at += 1;
      this.halves();
      return;
    }
    if (byte >= 0xc4 && byte <= 0xc6) this.hashOfBytes();
    else this.integer64();
  }

  /** Where the next text's bytes start; `at` is then behind them. */
  textStart(most: number): number {
    const byte = this.byte();
    const length = this.textLength(byte);
    if (length > most) throw new MalformedError('limit');
    const start = this.at;
    this.need(length);
    this.at += length;
    return start;
  }

  text(most: number): string {
    const start = this.textStart(most);
    return utf8.decode(this.bytes.subarray(start, this.at));
  }

  /** As `text`, for one that is nearly always the same: decoding a text costs more than the rest of an event. */
  textLike(last: LastText, most: number): string {
    const start = this.textStart(most);
    if (this.at - start !== last.bytes.length || !this.equals(last.bytes, start)) {
      last.bytes = this.bytes.slice(start, this.at);
      last.text = utf8.decode(last.bytes);
    }
    return last.text;
  }

  /** Refuses what was read since `start` when it is more than `most` bytes. */
  limit(start: number, most: number): void {
    if (this.at - start > most) throw new MalformedError('limit');
  }

  /** The bytes from `start` to the next value as a string of one character each: a name for values of any kind. */
  rawSince(start: number): string {
    return latin1.decode(this.bytes.subarray(start, this.at));
  }

  /** A map's key as its place in `names`; -1 for a key not among them, of whatever type. */
  key(names: readonly Uint8Array[]): number {
    if (this.kind() !== 'text') {
      this.skip();
      return -1;
    }
    const start = this.textStart(0xffffffff);
    const length = this.at - start;
    for (let i = 0; i < names.length; i++) if (names[i].length === length && this.equals(names[i], start)) return i;
    return -1;
  }

  /** Passes over a value of any kind and depth, without recursion. */
  skip(): void {
    for (let pending = 1; pending > 0; pending--) pending += this.skipOne();
  }

  /** Passes over one value's own bytes; returns how many values it contains. */
  private skipOne(): number {
    const byte = this.peek();
    if (byte < 0x80 || byte >= 0xe0) {
      this.at += 1;
      return 0;
    }
    if (byte < 0x90 || byte === 0xde || byte === 0xdf) return 2 * this.map();
    if (byte < 0xa0 || byte === 0xdc || byte === 0xdd) return this.list();
    this.at += 1;
    const length = this.scalarLength(byte);
    this.need(length);
    this.at += length;
    return 0;
  }

  /** Bytes behind a marker of text, bytes, number, boolean, nil or extension. */
  private scalarLength(byte: number): number {
    if (byte < 0xc4 || (byte >= 0xd9 && byte <= 0xdb)) return byte === 0xc1 ? this.refuse() : this.textOrNothing(byte);
    if (byte <= 0xc6) return this.unsigned(1 << (byte - 0xc4));
    if (byte <= 0xc9) return this.unsigned(1 << (byte - 0xc7)) + 1;
    if (byte <= 0xcb) return byte === 0xca ? 4 : 8;
    if (byte <= 0xd3) return 1 << ((byte - 0xcc) & 3);
    return 1 + (1 << (byte - 0xd4));
  }

  private textOrNothing(byte: number): number {
    return byte >= 0xc0 && byte <= 0xc3 ? 0 : this.textLength(byte);
  }

  private textLength(byte: number): number {
    if ((byte & 0xe0) === 0xa0) return byte & 0x1f;
    if (byte >= 0xd9 && byte <= 0xdb) return this.unsigned(1 << (byte - 0xd9));
    throw new MalformedError('type');
  }

  private refuse(): never {
    throw new MalformedError('type');
  }

  private hashOfBytes(): void {
    const length = this.unsigned(1 << (this.byte() - 0xc4));
    this.need(length);
    if (length < 8) throw new MalformedError('type');
    this.at += length - 8;
    this.halves();
  }

  private integer64(): void {
    const byte = this.byte();
    if (byte < 0x80) this.set(0, byte);
    else if (byte >= 0xe0) this.set(0xffffffff, (0xffffff00 | byte) >>> 0);
    else if (byte === 0xcf || byte === 0xd3) {
      this.need(8);
      this.halves();
    } else if (byte >= 0xcc && byte <= 0xce) this.set(0, this.unsigned(1 << (byte - 0xcc)));
    else if (byte >= 0xd0 && byte <= 0xd2) this.signed(1 << (byte - 0xd0));
    else throw new MalformedError('type');
  }

  /** A shorter signed integer, widened to 64 bits. */
  private signed(width: number): void {
    const shift = 32 - 8 * width;
    const value = (this.unsigned(width) << shift) >> shift;
    this.set(value < 0 ? 0xffffffff : 0, value >>> 0);
  }

  private set(high: number, low: number): void {
    this.high = high;
    this.low = low;
  }

  private halves(): void {
    this.high = this.unsigned(4);
    this.low = this.unsigned(4);
  }

  private unsigned(width: number): number {
    this.need(width);
    const { bytes, at } = this;
    this.at += width;
    if (width === 1) return bytes[at];
    if (width === 2) return (bytes[at] << 8) | bytes[at + 1];
    return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
  }

  private equals(name: Uint8Array, start: number): boolean {
    for (let i = 0; i < name.length; i++) if (this.bytes[start + i] !== name[i]) return false;
    return true;
  }

  private peek(): number {
    this.need(1);
    return this.bytes[this.at];
  }

  private byte(): number {
    this.need(1);
    return this.bytes[this.at++];
  }

  private believable(count: number, bytesEach: number): number {
    this.need(count * bytesEach);
    return count;
  }

  private need(count: number): void {
    if (this.at + count > this.bytes.length) throw new MalformedError('truncated');
  }
}

const kinds: readonly ValueKind[] = Array.from({ length: 256 }, (_, byte) => kindOf(byte));

function kindOf(byte: number): ValueKind {
  if (byte === 0xc0) return 'nil';
  if (isIn(byte, 0x00, 0x7f) || isIn(byte, 0xe0, 0xff) || isIn(byte, 0xcc, 0xd3)) return 'integer';
  if (isIn(byte, 0xa0, 0xbf) || isIn(byte, 0xd9, 0xdb)) return 'text';
  if (isIn(byte, 0x90, 0x9f) || isIn(byte, 0xdc, 0xdd)) return 'list';
  return isIn(byte, 0xc4, 0xc6) ? 'bytes' : 'other';
}

function isIn(byte: number, first: number, last: number): boolean {
  return byte >= first && byte <= last;
}
