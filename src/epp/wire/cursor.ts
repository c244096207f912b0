import { WireError } from './wire-error.ts';

/** How a field's value is laid out; the low three bits of its tag. */
export const WireType = { varint: 0, fixed64: 1, bytes: 2, groupStart: 3, groupEnd: 4, fixed32: 5 } as const;

/** Groups, which nobody has written for ten years, are passed over when they are nested no deeper than this. */
const maxGroups = 32;
const maxTag = 0xffff_ffff;
const nothing = Buffer.alloc(0);

/** The tag of a field whose value has a length in front: messages, strings, bytes. */
export function bytesTag(field: number): number {
  return field * 8 + WireType.bytes;
}

export function varintTag(field: number): number {
  return field * 8 + WireType.varint;
}

/** Walks over the fields of one protobuf message and the messages in it; each step is checked against its end. */
export class Cursor {
  bytes: Buffer = nothing;
  at = 0;
  /** Where the innermost message that was entered ends. */
  end = 0;

  start(bytes: Buffer): void {
    this.bytes = bytes;
    this.at = 0;
    this.end = bytes.length;
  }

  more(): boolean {
    return this.at < this.end;
  }

  /** The next field's tag. */
  tag(): number {
    const tag = this.varint();
    if (tag > maxTag || tag < 8) throw new WireError(`no field has the tag ${tag}`);
    return tag;
  }

  /** A number; past 2^53 it is no longer exact, which no caller minds. */
  varint(): number {
    const { bytes, end } = this;
    let value = 0;
    let scale = 1;
    const last = Math.min(end, this.at + 10);
    for (let at = this.at; at < last; at += 1) {
      const byte = bytes[at] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.at = at + 1;
        return value;
      }
      scale *= 128;
    }
    throw new WireError(last === end ? 'the message is cut off in a number' : 'a number of more than ten bytes');
  }

  /** The length in front of a value that lies wholly in the message; the cursor stands on its first byte then. */
  length(): number {
    const length = this.varint();
    if (length > this.end - this.at) throw new WireError(`a field of ${length} bytes, ${this.end - this.at} are left`);
    return length;
  }

  /** Goes into the message that follows; give `leave` what it returns. */
  enter(): number {
    const length = this.length();
    const outer = this.end;
    this.end = this.at + length;
    return outer;
  }

  leave(outer: number): void {
    this.at = this.end;
    this.end = outer;
  }

  /** Passes over the value of a field that nobody asked for. */
  skip(tag: number): void {
    this.pass(tag, 0);
  }

  private pass(tag: number, depth: number): void {
    switch (tag & 7) {
      case WireType.varint:
        this.varint();
        return;
      case WireType.fixed64:
        return this.jump(8);
      case WireType.bytes:
        return this.jump(this.length());
      case WireType.fixed32:
        return this.jump(4);
      case WireType.groupStart:
        return this.passGroup(tag, depth + 1);
      default:
        throw new WireError(`a field of wire type ${tag & 7}`);
    }
  }

  private passGroup(start: number, depth: number): void {
    if (depth > maxGroups) throw new WireError('groups are nested too deep');
    for (let tag = this.tag(); tag !== start + 1; tag = this.tag()) this.pass(tag, depth);
  }

  private jump(length: number): void {
    if (length > this.end - this.at) throw new WireError('the message is cut off in a field');
    this.at += length;
  }
}
