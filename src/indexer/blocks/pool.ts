const bytesPerField = 4;

/** Zeroed memory that other threads may read too. The operating system commits its pages when they are first written. */
export function sharedInts(length: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(length * bytesPerField));
}

/** The smallest power of two that is at least `count`: the number of buckets for so many entries. */
export function powerOfTwo(count: number): number {
  return 2 ** Math.ceil(Math.log2(count));
}

/**
 * Numbers `first` .. `first + size - 1` to give out and take back: fresh ones in order, so that what is made together
 * lies together, returned ones before them. The link of returned numbers lies in a field of the entries themselves.
 */
export class Pool {
  /** Numbers given out. */
  used = 0;
  readonly size: number;
  private readonly fields: Int32Array;
  private readonly stride: number;
  private readonly link: number;
  private readonly end: number;
  private fresh: number;
  private returned = 0;

  /** `fields`: the entries, `stride` fields each; field `link` is free to use while an entry is not given out. */
  constructor(fields: Int32Array, layout: { stride: number; link: number; first: number; size: number }) {
    this.fields = fields;
    this.stride = layout.stride;
    this.link = layout.link;
    this.size = layout.size;
    this.fresh = layout.first;
    this.end = layout.first + layout.size;
  }

  /** A number, or 0 when all are given out; the first must therefore be at least 1. */
  take(): number {
    let taken = this.returned;
    if (taken !== 0) this.returned = this.fields[taken * this.stride + this.link];
    else if (this.fresh < this.end) taken = this.fresh++;
    else return 0;
    this.used += 1;
    return taken;
  }

  give(number: number): void {
    this.fields[number * this.stride + this.link] = this.returned;
    this.returned = number;
    this.used -= 1;
  }
}
