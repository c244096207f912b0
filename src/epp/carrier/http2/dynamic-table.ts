import type { HeaderField } from './header-field.ts';

/** Bytes of the table that we offer: the default, since what gateways repeat is little. */
export const tableBytes = 4096;
/** No field takes less than 32 bytes. */
const slots = tableBytes / 32;

/** The fields that a peer has had us remember, the newest first (RFC 7541, section 2.3.2). */
export class DynamicTable {
  private readonly fields = new Array<HeaderField | undefined>(slots);
  private newest = 0;
  private count = 0;
  private bytes = 0;
  private limit = tableBytes;

  get length(): number {
    return this.count;
  }

  get size(): number {
    return this.bytes;
  }

  /** The field of an index that counts from 0; undefined where there is none. */
  at(index: number): HeaderField | undefined {
    return index < this.count ? this.fields[(this.newest - index + slots) % slots] : undefined;
  }

  /** A field larger than the table empties it, and is not in it. */
  add(field: HeaderField): void {
    this.shrink(this.limit - field.size);
    if (field.size > this.limit) return;
    this.newest = (this.newest + 1) % slots;
    this.fields[this.newest] = field;
    this.count += 1;
    this.bytes += field.size;
  }

  /** Sets the limit, at most `tableBytes`. */
  resize(limit: number): void {
    this.limit = limit;
    this.shrink(limit);
  }

  /** Forgets the oldest until so many bytes are left. */
  private shrink(limit: number): void {
    while (this.count > 0 && this.bytes > limit) {
      this.count -= 1;
      const oldest = (this.newest - this.count + slots) % slots;
      this.bytes -= this.fields[oldest]?.size ?? 0;
      this.fields[oldest] = undefined;
    }
  }
}
