const planes = 24;

/**
 * Counts for 32 lanes at once: bit l of plane p is bit p of lane l's count. Adding a word of bits costs two steps on
 * average however many of them are set, where a counter for each lane would cost one for every set bit.
 */
export class Tally {
  private readonly groups: number;
  private readonly words: Int32Array;
  /** Planes that are not all zero. */
  private height = 0;

  constructor(groups: number) {
    this.groups = groups;
    this.words = new Int32Array(groups * planes);
  }

  clear(): void {
    this.words.fill(0, 0, this.height * this.groups);
    this.height = 0;
  }

  /** Adds one to the lanes of the group whose bit is set; at most 2^24 times. */
  add(group: number, lanes: number): void {
    const { words, groups } = this;
    let carry = lanes;
    let plane = 0;
    for (let at = group; carry !== 0; at += groups) {
      const word = words[at];
      words[at] = word ^ carry;
      carry &= word;
      plane += 1;
    }
    if (plane > this.height) this.height = plane;
  }

  countOf(lane: number): number {
    let count = 0;
    let at = (lane >>> 5) + (this.height - 1) * this.groups;
    for (let plane = this.height - 1; plane >= 0; plane--) {
      count = count * 2 + ((this.words[at] >>> (lane & 31)) & 1);
      at -= this.groups;
    }
    return count;
  }
}
