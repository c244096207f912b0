interface Segment {
  /** Id of its first entry. */
  readonly first: string;
  bytes: number;
}

/** Bytes of entries that are let go together. */
const segmentBytes = 256 * 1024;
/** What an entry takes in the server beside its bytes, roughly: id, field name, node. */
const overheadBytes = 64;

/**
 * What lies in the stream, as this replica has read it: from which id on the newest `limitBytes` begin, and the
 * youngest `limitAge` milliseconds.
 */
export class Ledger {
  private readonly limitBytes: number;
  private readonly limitAge: number;
  private segments: Segment[] = [];
  private total = 0;

  constructor(limitBytes: number, limitAge: number) {
    this.limitBytes = limitBytes;
    this.limitAge = limitAge;
  }

  /** Bytes in the stream, about. */
  get bytes(): number {
    return this.total;
  }

  clear(): void {
    this.segments = [];
    this.total = 0;
  }

  /** An entry has been read; ids only grow. */
  add(id: string, bytes: number): void {
    const last = this.segments.at(-1);
    const size = bytes + overheadBytes;
    this.total += size;
    if (last === undefined || last.bytes + size > segmentBytes) this.segments.push({ first: id, bytes: size });
    else last.bytes += size;
  }

  /** The id below which entries are to go, or null when all may stay. */
  trim(): string | null {
    const newest = this.segments.at(-1);
    if (newest === undefined) return null;
    const oldestTime = timeOf(newest.first) - this.limitAge;
    let from: string | null = null;
    while (this.segments.length > 1 && (this.total > this.limitBytes || timeOf(this.segments[1].first) < oldestTime)) {
      const gone = this.segments.shift();
      this.total -= gone?.bytes ?? 0;
      from = this.segments[0].first;
    }
    return from;
  }
}

/** Milliseconds since 1970 of a stream id, by the server's clock. */
function timeOf(id: string): number {
  return Number.parseInt(id, 10);
}
