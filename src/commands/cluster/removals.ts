import type { WatchedResource } from '../../controller/watched.ts';
import type { Clock } from '../../router/clock.ts';

/** Milliseconds before a deletion counts; short enough for a change to be in force within two seconds. */
const hold = 1_200;
/** Milliseconds until the API server is asked again that could not tell whether our kinds stay. */
const askAgain = 1_000;
/** Milliseconds for which objects of a lost kind stay in force after the kind is back. */
const grace = 600_000;

interface Removal {
  readonly watched: WatchedResource;
  readonly since: number;
  orphaned: boolean;
}

export interface RemovalsOptions {
  readonly clock: Clock;
  /** Whether the API server cannot be asked for objects of our kinds right now. */
  readonly away: () => boolean;
  /** Whether the API server has our kinds and means to keep them; null where it does not tell. Never rejects. */
  readonly kindsStay: () => Promise<boolean | null>;
  /** The object is gone for good. */
  readonly onGone: (watched: WatchedResource) => void;
  /** The object was lost together with its kind, and stays in force. */
  readonly onOrphan: (watched: WatchedResource) => void;
}

/**
 * Tells deletions that people mean from those that come with the loss of a CRD: then every object is deleted first and
 * the kind is gone some time later. So a deletion counts once the kind has been there for a while after it, and the API
 * server says that it stays. Objects lost with their kind stay in force until they are there again, or ten minutes after
 * the kind is.
 */
export class Removals {
  private readonly options: RemovalsOptions;
  private readonly held = new Map<string, Removal>();
  private backSince: number | null = null;
  private asking = false;
  private closed = false;
  /** When the next look is due, in milliseconds of the clock. */
  private lookAt = Infinity;
  private cancel: () => void = () => undefined;

  constructor(options: RemovalsOptions) {
    this.options = options;
  }

  /** The API server has deleted an object. */
  deleted(watched: WatchedResource): void {
    const now = this.options.clock.now();
    this.held.set(watched.id, { watched, since: now, orphaned: false });
    this.look(now + hold);
  }

  /** The object is there (again). */
  present(id: string): void {
    this.held.delete(id);
  }

  /** The API server, or our kinds on it, have gone away or come back. */
  changed(): void {
    if (this.held.size > 0) this.settle();
  }

  close(): void {
    this.closed = true;
    this.cancel();
  }

  /** A look that is due earlier stays: deletions in a row do not put each other off. */
  private look(at: number): void {
    if (at >= this.lookAt) return;
    this.cancel();
    this.lookAt = at;
    this.cancel = this.options.clock.after(at - this.options.clock.now(), () => {
      this.lookAt = Infinity;
      this.settle();
    });
  }

  private settle(): void {
    if (this.options.away()) {
      this.lose();
      return;
    }
    const now = this.options.clock.now();
    this.backSince ??= now;
    let next = Infinity;
    const due: Removal[] = [];
    for (const removal of this.held.values()) {
      const at = removal.orphaned ? this.backSince + grace : removal.since + hold;
      if (at > now) next = Math.min(next, at);
      else due.push(removal);
    }
    this.look(next);
    if (due.length > 0) void this.ask(due);
  }

  /** One question at a time: what is due meanwhile is looked at after the answer. */
  private async ask(due: readonly Removal[]): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    const stay = await this.options.kindsStay();
    this.asking = false;
    if (this.closed) return;
    if (stay === null) {
      this.look(this.options.clock.now() + askAgain);
      return;
    }
    if (stay && !this.options.away()) this.count(due);
    else this.lose();
    this.settle();
  }

  private count(due: readonly Removal[]): void {
    for (const removal of due) {
      const { id } = removal.watched;
      // It may have been made again, and even been deleted again, since the question.
      if (this.held.get(id) !== removal) continue;
      this.held.delete(id);
      this.options.onGone(removal.watched);
    }
  }

  /** The kind goes, or nobody can be asked: what was deleted just now went with it. */
  private lose(): void {
    this.backSince = null;
    for (const removal of this.held.values()) this.orphan(removal);
  }

  private orphan(removal: Removal): void {
    if (removal.orphaned) return;
    removal.orphaned = true;
    this.options.onOrphan(removal.watched);
  }
}
