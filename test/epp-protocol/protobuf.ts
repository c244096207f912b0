/** Writes a protobuf message: of the wire format what ext_proc and gRPC health need. */
export class Message {
  private readonly parts: Buffer[] = [];

  /** A field that is false, 0 or an enum's first value is left out, as all writers do. */
  number(field: number, value: number | boolean): this {
    if (Number(value) !== 0) this.parts.push(varint(field * 8), varint(Number(value)));
    return this;
  }

  double(field: number, value: number): this {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    this.parts.push(varint(field * 8 + 1), bytes);
    return this;
  }

  bytes(field: number, value: Buffer | string): this {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    this.parts.push(varint(field * 8 + 2), varint(bytes.length), bytes);
    return this;
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.finish());
  }

  finish(): Buffer {
    return Buffer.concat(this.parts);
  }
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left > 127; left = Math.floor(left / 128)) bytes.push((left % 128) + 128);
  bytes.push(left);
  return Buffer.from(bytes);
}

/** The fields of a message by number, in their order. */
export class Fields {
  private readonly values = new Map<number, (number | Buffer)[]>();

  /** Throws a RangeError where the bytes are no message. */
  constructor(bytes: Buffer) {
    const reader = new Reader(bytes);
    while (reader.left > 0) {
      const tag = reader.varint();
      const field = Math.floor(tag / 8);
      const known = this.values.get(field) ?? [];
      known.push(reader.value(tag % 8));
      this.values.set(field, known);
    }
  }

  get numbers(): number[] {
    return [...this.values.keys()];
  }

  number(field: number): number {
    const value = this.values.get(field)?.at(-1) ?? 0;
    return typeof value === 'number' ? value : 0;
  }

  all(field: number): Buffer[] {
    return (this.values.get(field) ?? []).filter((value) => Buffer.isBuffer(value));
  }

  bytes(field: number): Buffer | null {
    return this.all(field).at(-1) ?? null;
  }

  text(field: number): string {
    return this.bytes(field)?.toString('utf8') ?? '';
  }

  message(field: number): Fields | null {
    const bytes = this.bytes(field);
    return bytes === null ? null : new Fields(bytes);
  }
}

class Reader {
  private readonly bytes: Buffer;
  private at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.take(1)[0];
      value += (byte % 128) * factor;
      if (byte < 128) return value;
    }
  }

  value(type: number): number | Buffer {
    if (type === 0) return this.varint();
    if (type === 1) return this.take(8).readDoubleLE();
    if (type === 2) return this.take(this.varint());
    if (type === 5) return this.take(4).readInt32LE();
    throw new RangeError(`no wire type: ${type}`);
  }

  private take(count: number): Buffer {
    if (count > this.left) throw new RangeError(`${count} bytes wanted, ${this.left} left`);
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }
}
