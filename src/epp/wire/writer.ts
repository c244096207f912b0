import { bytesTag, varintTag } from './cursor.ts';

/** How many bytes a number takes. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes += 1;
  return bytes;
}

/** Writes a number and returns where it ends. */
export function putVarint(bytes: Buffer, at: number, value: number): number {
  let rest = value;
  let end = at;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes[end++] = (rest % 128) | 0x80;
  bytes[end] = rest;
  return end + 1;
}

/**
 * Writes a message from its end to its beginning, because a message within must have its length in front of it: so the
 * fields come in reverse order, and nothing is measured beforehand. One is used again and again.
 */
export class Writer {
  private bytes = Buffer.allocUnsafeSlow(4096);
  private at = this.bytes.length;

  /** How much is written; give it to `wrap` once the message's fields are there. */
  get length(): number {
    return this.bytes.length - this.at;
  }

  /** Makes the fields written since `length` was `since` a message, the value of a field. */
  wrap(field: number, since: number): void {
    const length = this.length - since;
    this.number(length);
    this.number(bytesTag(field));
  }

  varint(field: number, value: number): void {
    this.number(value);
    this.number(varintTag(field));
  }

  text(field: number, text: string, encoding: 'utf8' | 'latin1'): void {
    const length = encoding === 'latin1' ? text.length : Buffer.byteLength(text);
    this.reserve(length);
    this.at -= length;
    this.bytes.write(text, this.at, length, encoding);
    this.number(length);
    this.number(bytesTag(field));
  }

  /** What was written; the writer is empty then. */
  finish(): Buffer {
    const message = Buffer.allocUnsafe(this.length);
    this.bytes.copy(message, 0, this.at);
    this.at = this.bytes.length;
    return message;
  }

  private number(value: number): void {
    const length = varintBytes(value);
    this.reserve(length);
    this.at -= length;
    putVarint(this.bytes, this.at, value);
  }

  private reserve(length: number): void {
    if (length <= this.at) return;
    const written = this.length;
    const bytes = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, written + length));
    this.bytes.copy(bytes, bytes.length - written, this.at);
    this.at = bytes.length - written;
    this.bytes = bytes;
  }
}
