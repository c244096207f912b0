import type { Candidates } from '../router/candidates.ts';

/** A load by slot that shrinks by `decay^seconds`, continuously, and is given back as it is left. */
export class DecayingLoads {
  private readonly decay: number;
  private readonly loads: Float64Array;
  /** When each load was last brought up to date, in milliseconds. */
  private readonly at: Float64Array;
  /** How many charges have not been given back. */
  private readonly open: Int32Array;

  constructor(capacity: number, decay: number) {
    this.decay = decay;
    this.loads = new Float64Array(capacity);
    this.at = new Float64Array(capacity);
    this.open = new Int32Array(capacity);
  }

  add(slot: number, amount: number, now: number): void {
    this.loads[slot] = this.loads[slot] * this.left(now - this.at[slot]) + amount;
    this.at[slot] = now;
    this.open[slot] += 1;
  }

  giveBack(slot: number, amount: number, chargedAt: number, now: number): void {
    this.open[slot] -= 1;
    const load = this.loads[slot] * this.left(now - this.at[slot]) - amount * this.left(now - chargedAt);
    // Sums of fractions drift: nothing open means no load.
    this.loads[slot] = this.open[slot] === 0 ? 0 : Math.max(0, load);
    this.at[slot] = now;
  }

  /** Writes each candidate's load; returns the sum. */
  read({ slots, length }: Candidates, out: Float64Array, now: number): number {
    let sum = 0;
    for (let i = 0; i < length; i++) {
      out[i] = this.loadOf(slots[i], now);
      sum += out[i];
    }
    return sum;
  }

  loadOf(slot: number, now: number): number {
    const { loads, at } = this;
    return loads[slot] === 0 ? 0 : loads[slot] * this.left(now - at[slot]);
  }

  /** The share that is left after so many milliseconds. */
  private left(milliseconds: number): number {
    return this.decay ** (milliseconds / 1000);
  }
}
