import type { Sequence } from './sequence.ts';
import type { EngineTotals } from './totals.ts';

/** Why held blocks are given up: read, the reader has gone, the reader declined them, or nobody came within the lease. */
export type HeldRelease = 'read' | 'abort' | 'refusal' | 'lease';

/** What may be asked and said of held blocks from outside; `Engine.releaseHeld` ends a hold. */
export type Holds = Pick<HeldBlocks, 'blocks' | 'sequences' | 'has' | 'pin' | 'renew' | 'markDead'>;

interface Hold {
  readonly since: number;
  readonly blocks: number;
  /** From when on nobody was going to read them; Infinity as long as somebody may. */
  deadSince: number;
  leaseEnds: number;
}

/** Finished sequences whose blocks another engine is to read: each until it is released or its lease ends. Engine seconds. */
export class HeldBlocks {
  private readonly leaseSeconds: number;
  private readonly totals: EngineTotals;
  private readonly holds = new Map<Sequence, Hold>();
  // All leases are equally long, so that the order of their starts is the order of their ends.
  private readonly leases = new Set<Sequence>();
  private blocksHeld = 0;
  private settledAt = 0;

  constructor(leaseSeconds: number, totals: EngineTotals) {
    this.leaseSeconds = leaseSeconds;
    this.totals = totals;
  }

  /** Blocks held now; one that two sequences hold counts twice. */
  get blocks(): number {
    return this.blocksHeld;
  }

  /** Sequences that are held now. */
  get sequences(): number {
    return this.holds.size;
  }

  /** When the next lease ends; Infinity for never. */
  get due(): number {
    for (const sequence of this.leases) return this.holds.get(sequence)?.leaseEnds ?? Infinity;
    return Infinity;
  }

  has(sequence: Sequence): boolean {
    return this.holds.has(sequence);
  }

  hold(sequence: Sequence, now: number): void {
    this.settle(now);
    const blocks = sequence.blocks.length;
    this.holds.set(sequence, { since: now, blocks, deadSince: Infinity, leaseEnds: now + this.leaseSeconds });
    this.leases.add(sequence);
    this.blocksHeld += blocks;
  }

  /** A read is under way: no lease ends it. */
  pin(sequence: Sequence): void {
    this.leases.delete(sequence);
  }

  /** A new lease from now on, as the reader's heartbeat gives. */
  renew(sequence: Sequence, now: number): void {
    const hold = this.holds.get(sequence);
    if (hold === undefined) return;
    hold.leaseEnds = now + this.leaseSeconds;
    this.leases.delete(sequence);
    this.leases.add(sequence);
  }

  /** Nobody will read these blocks any more, which the engine itself cannot know: they count as dead from now on. */
  markDead(sequence: Sequence, now: number): void {
    const hold = this.holds.get(sequence);
    if (hold !== undefined) hold.deadSince = Math.min(hold.deadSince, now);
  }

  /** Ends a hold and counts it; false when there is none. The caller frees the blocks. */
  release(sequence: Sequence, why: HeldRelease, now: number): boolean {
    const hold = this.holds.get(sequence);
    if (hold === undefined) return false;
    this.settle(now);
    this.holds.delete(sequence);
    this.leases.delete(sequence);
    this.blocksHeld -= hold.blocks;
    this.count(hold, why, now);
    return true;
  }

  /** The sequence whose lease has ended by `now`, the longest ended first; null when there is none. */
  expired(now: number): Sequence | null {
    if (this.due > now) return null;
    for (const sequence of this.leases) return sequence;
    return null;
  }

  /** Brings `heldBlockSeconds` up to `now`. */
  settle(now: number): void {
    if (now <= this.settledAt) return;
    this.totals.heldBlockSeconds += this.blocksHeld * (now - this.settledAt);
    this.settledAt = now;
  }

  private count(hold: Hold, why: HeldRelease, now: number): void {
    const { totals } = this;
    if (why === 'read') totals.heldReleasedByRead += 1;
    else if (why === 'abort') totals.heldReleasedByAbort += 1;
    else if (why === 'refusal') totals.heldReleasedByRefusal += 1;
    else totals.leaseExpired += 1;
    if (why === 'read' || why === 'refusal') return;
    const deadSince = hold.deadSince < Infinity ? hold.deadSince : hold.since;
    totals.deadBlockSeconds += hold.blocks * (now - deadSince);
    totals.deadLeaseBlockSeconds += hold.blocks * Math.max(0, hold.since + this.leaseSeconds - deadSince);
  }
}
