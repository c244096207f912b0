import { DynamicTable, tableBytes } from './dynamic-table.ts';
import { HeaderField } from './header-field.ts';
import { huffmanDecode } from './huffman.ts';
import { ConnectionError, ErrorCode } from './protocol.ts';
import { staticTable } from './static-table.ts';

/** Takes the fields of a header block in their order. */
export interface FieldSink {
  onField(field: HeaderField): void;
}

/** No integer of a header block is larger: blocks are not, and tables are not. */
const largest = 2 ** 24;
const nothing = Buffer.alloc(0);

/** Reads header blocks of one connection (RFC 7541). Throws a `ConnectionError`: what follows could not be read either. */
export class HpackDecoder {
  private readonly table = new DynamicTable();
  private bytes: Buffer = nothing;
  private at = 0;
  private end = 0;

  /** Reads a whole block, bytes[start, end). */
  decode(bytes: Buffer, start: number, end: number, sink: FieldSink): void {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    this.readSizes();
    while (this.at < end) sink.onField(this.readField());
    this.bytes = nothing;
  }

  /** New sizes of the table stand before the first field. */
  private readSizes(): void {
    while (this.at < this.end && (this.peek() & 0xe0) === 0x20) {
      const size = this.integer(0x1f);
      if (size > tableBytes) throw corrupt('a table larger than we offer');
      this.table.resize(size);
    }
  }

  private readField(): HeaderField {
    const first = this.peek();
    if (first >= 0x80) return this.field(this.integer(0x7f));
    if (first < 0x40) {
      // Without indexing or never indexed; or a size, which is too late here.
      if (first >= 0x20) throw corrupt('a size of the table among the fields');
      return this.literal(0x0f);
    }
    const field = this.literal(0x3f);
    this.table.add(field);
    return field;
  }

  private literal(mask: number): HeaderField {
    const index = this.integer(mask);
    const name = index === 0 ? this.string() : this.field(index).name;
    return new HeaderField(name, this.string());
  }

  private field(index: number): HeaderField {
    const field = index <= staticTable.length ? staticTable[index - 1] : this.table.at(index - staticTable.length - 1);
    if (field === undefined) throw corrupt('a field that is in no table');
    return field;
  }

  private string(): string {
    const isCoded = (this.peek() & 0x80) !== 0;
    const length = this.integer(0x7f);
    const start = this.at;
    if (length > this.end - start) throw corrupt('a string that is cut off');
    this.at = start + length;
    return isCoded ? this.coded(start, this.at) : this.bytes.toString('latin1', start, this.at);
  }

  private coded(start: number, end: number): string {
    const text = Buffer.allocUnsafe(Math.ceil(((end - start) * 8) / 5));
    const length = huffmanDecode(this.bytes, start, end, text);
    if (length < 0) throw corrupt('a string that is no Huffman code');
    return text.toString('latin1', 0, length);
  }

  private integer(mask: number): number {
    let value = this.next() & mask;
    if (value < mask) return value;
    for (let weight = 1; ; weight *= 128) {
      const byte = this.next();
      value += (byte & 0x7f) * weight;
      // Zeros in front would go on for ever.
      if (value > largest || weight > largest) throw corrupt('an integer that is too large');
      if (byte < 0x80) return value;
    }
  }

  private peek(): number {
    if (this.at >= this.end) throw corrupt('a header block that is cut off');
    return this.bytes[this.at] ?? 0;
  }

  private next(): number {
    const byte = this.peek();
    this.at += 1;
    return byte;
  }
}

function corrupt(what: string): ConnectionError {
  return new ConnectionError(ErrorCode.compressionError, `a header block that cannot be read: ${what}`);
}
