import { bytesTag, type Cursor } from './cursor.ts';
import type { HeaderLines } from './request.ts';
import { WireError } from './wire-error.ts';

/** Envoy takes a hundred lines by default. */
const maxLines = 4096;
const fieldsOfLine = 4;

const headers = bytesTag(1);
const key = bytesTag(1);
const value = bytesTag(2);
const rawValue = bytesTag(3);

/** The lines of a `HeaderMap`, kept as offsets into the message: a string is made only of what is asked for. */
export class HeaderTable implements HeaderLines {
  length = 0;
  private bytes: Buffer = Buffer.alloc(0);
  /** Start and end of each line's name, then of its value. */
  private offsets = new Int32Array(64 * fieldsOfLine);

  clear(): void {
    this.length = 0;
  }

  /** Adds the lines of the `HeaderMap` that the cursor has gone into, up to its end. */
  read(cursor: Cursor): void {
    this.bytes = cursor.bytes;
    while (cursor.more()) {
      const tag = cursor.tag();
      if (tag === headers) this.readLine(cursor);
      else cursor.skip(tag);
    }
  }

  name(index: number): string {
    const at = this.line(index);
    return this.text(at).toLowerCase();
  }

  value(index: number): string {
    return this.text(this.line(index) + 2);
  }

  get(name: string): string | undefined {
    for (let index = this.length - 1; index >= 0; index -= 1) {
      const at = index * fieldsOfLine;
      if (this.isNamed(at, name)) return this.text(at + 2);
    }
    return undefined;
  }

  private readLine(cursor: Cursor): void {
    if (this.length === maxLines) throw new WireError(`more than ${maxLines} header lines`);
    const at = this.length * fieldsOfLine;
    if (at === this.offsets.length) this.grow();
    this.offsets.fill(0, at, at + fieldsOfLine);
    const outer = cursor.enter();
    // Envoy writes the bytes; a value as text comes from older and other ones, and counts where there are no bytes.
    let raw = false;
    while (cursor.more()) {
      const tag = cursor.tag();
      if (tag === key) this.mark(at, cursor);
      else if (tag === rawValue) raw = this.mark(at + 2, cursor);
      else if (tag === value && !raw) this.mark(at + 2, cursor);
      else cursor.skip(tag);
    }
    cursor.leave(outer);
    this.length += 1;
  }

  /** Notes where the value that follows lies; whether it holds anything. */
  private mark(at: number, cursor: Cursor): boolean {
    const length = cursor.length();
    this.offsets[at] = cursor.at;
    cursor.at += length;
    this.offsets[at + 1] = cursor.at;
    return length > 0;
  }

  private grow(): void {
    const offsets = new Int32Array(this.offsets.length * 2);
    offsets.set(this.offsets);
    this.offsets = offsets;
  }

  private line(index: number): number {
    if (index < 0 || index >= this.length) throw new RangeError(`no header line ${index} of ${this.length}`);
    return index * fieldsOfLine;
  }

  private text(at: number): string {
    return this.bytes.toString('latin1', this.offsets[at], this.offsets[at + 1]);
  }

  private isNamed(at: number, name: string): boolean {
    const { bytes, offsets } = this;
    const start = offsets[at] ?? 0;
    if ((offsets[at + 1] ?? 0) - start !== name.length) return false;
    for (let index = 0; index < name.length; index += 1) {
      if (lower(bytes[start + index] ?? 0) !== name.charCodeAt(index)) return false;
    }
    return true;
  }
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}
