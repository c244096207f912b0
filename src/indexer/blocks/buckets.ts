import { powerOfTwo, sharedInts } from './pool.ts';

/** Entries of a flat array by hash: each bucket a chain of entries, linked by a field of their own. */
export class Buckets {
  /** The first entry of each bucket; 0 for none. */
  readonly heads: Int32Array;
  private readonly fields: Int32Array;
  private readonly stride: number;
  private readonly link: number;

  /** `fields`: the entries, `stride` fields each, whose field `link` names the next of the bucket; 0 ends it. */
  constructor(fields: Int32Array, layout: { stride: number; link: number; size: number }) {
    this.heads = sharedInts(powerOfTwo(layout.size));
    this.fields = fields;
    this.stride = layout.stride;
    this.link = layout.link;
  }

  get bytes(): number {
    return this.heads.byteLength;
  }

  /** The bucket of a hash whose low bits are spread well. */
  of(hash: number): number {
    return hash & (this.heads.length - 1);
  }

  add(bucket: number, entry: number): void {
    const { fields, heads } = this;
    fields[entry * this.stride + this.link] = heads[bucket];
    heads[bucket] = entry;
  }

  /** Takes an entry out of the bucket that it is in. */
  remove(bucket: number, entry: number): void {
    const { fields, heads, stride, link } = this;
    const next = fields[entry * stride + link];
    if (heads[bucket] === entry) {
      heads[bucket] = next;
      return;
    }
    let before = heads[bucket];
    while (fields[before * stride + link] !== entry) before = fields[before * stride + link];
    fields[before * stride + link] = next;
  }
}
