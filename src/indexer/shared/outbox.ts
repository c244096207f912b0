/** Requests and keys that one interval may bring: 20,000 requests a second, and 16 MiB of prompt text. */
const mostRecords = 1024;
const mostKeys = 131_072;

/** What is in the outbox of one request; the array holds for the call only. */
export type OutboxReader = (slot: number, keys: Uint32Array) => void;

/** Takes copies of what is routed, at the cost of a copy and nothing else, until there is time to look at them. */
export class Outbox {
  /** Requests that found no room. */
  dropped = 0;
  private readonly slots = new Int32Array(mostRecords);
  private readonly ends = new Int32Array(mostRecords);
  private readonly keys = new Uint32Array(2 * mostKeys);
  private records = 0;
  /** Records handed out already, and their keys. */
  private done = 0;
  private doneKeys = 0;
  private used = 0;

  get empty(): boolean {
    return this.records === 0;
  }

  /** The first `blocks` keys went to the engine at `slot`. */
  add(slot: number, keys: Uint32Array, blocks: number): void {
    const { records, used } = this;
    if (records === mostRecords || used + blocks > mostKeys) {
      this.dropped += 1;
      return;
    }
    for (let i = 0, at = 2 * used; i < 2 * blocks; i++, at++) this.keys[at] = keys[i];
    this.used = used + blocks;
    this.slots[records] = slot;
    this.ends[records] = this.used;
    this.records = records + 1;
  }

  /** Hands out the next `most` requests, in order; returns whether there are more. */
  drain(read: OutboxReader, most: number): boolean {
    const stop = Math.min(this.records, this.done + most);
    for (; this.done < stop; this.done++) {
      const end = this.ends[this.done];
      read(this.slots[this.done], this.keys.subarray(2 * this.doneKeys, 2 * end));
      this.doneKeys = end;
    }
    if (this.done < this.records) return true;
    this.records = 0;
    this.used = 0;
    this.done = 0;
    this.doneKeys = 0;
    return false;
  }
}
