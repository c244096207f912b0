import type { Sequence } from './sequence.ts';

/** Sequences whose prompt's KV is on its way from another engine, and when each is due; engine seconds. */
export class Transfers {
  private readonly dues = new Map<Sequence, number>();
  private readonly starts = new Map<Sequence, number>();
  private readonly orphans = new Set<Sequence>();
  private nextDue = Infinity;

  /** Those under way, orphans included. */
  get size(): number {
    return this.dues.size;
  }

  /** Those that somebody waits for. */
  get awaited(): number {
    return this.dues.size - this.orphans.size;
  }

  /** When the next one ends by itself; Infinity while none does. */
  get due(): number {
    return this.nextDue;
  }

  /** `due` is Infinity for one whose end somebody else tells. */
  begin(sequence: Sequence, now: number, due: number): void {
    this.starts.set(sequence, now);
    this.dues.set(sequence, due);
    this.nextDue = Math.min(this.nextDue, due);
  }

  /** The request has gone; the transfer goes on to its end. */
  orphan(sequence: Sequence): void {
    if (this.dues.has(sequence)) this.orphans.add(sequence);
  }

  /** Seconds since its begin; negative when it is not under way. */
  end(sequence: Sequence, now: number): number {
    const start = this.starts.get(sequence);
    if (start === undefined) return -1;
    this.starts.delete(sequence);
    this.dues.delete(sequence);
    this.orphans.delete(sequence);
    this.nextDue = Math.min(Infinity, ...this.dues.values());
    return now - start;
  }

  /** One that is due by `now`, the earliest first; null when there is none. */
  ended(now: number): Sequence | null {
    if (this.nextDue > now) return null;
    for (const [sequence, due] of this.dues) if (due === this.nextDue) return sequence;
    return null;
  }
}
