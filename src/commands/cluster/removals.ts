import type { WatchedResource } from '../../controller/watched.ts';
import type { Clock } from '../../router/clock.ts';

/** Milliseconds before a deletion counts; short enough for a change to be in force within two seconds. */
const hold = 1_200;
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
  /** The object is gone for good. */
  readonly onGone: (watched: WatchedResource) => void;
  /** The object was lost together with its kind, and stays in force. */
  readonly onOrphan: (watched: WatchedResource) => void;
}

/**
 * Tells deletions that people mean from those that come with the loss of a CRD: then every object is deleted first and
 * the kind is gone a moment later. So a deletion counts once the kind has been there for a while after it. Objects
 * lost with their kind stay in force until they are there again, or ten minutes after the kind is.
 */
export class Removals {
  private readonly options: RemovalsOptions;
  private readonly held = new Map<string, Removal>();
  private backSince: number | null = null;
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
      this.backSince = null;
      for (const removal of this.held.values()) this.orphan(removal);
      return;
    }
    const now = this.options.clock.now();
    this.backSince ??= now;
    let next = Infinity;
    for (const [id, { watched, since, orphaned }] of this.held) {
      const due = orphaned ? this.backSince + grace : since + hold;
      if (due > now) {
        next = Math.min(next, due);
        continue;
      }
      this.held.delete(id);
      this.options.onGone(watched);
    }
    this.look(next);
  }

  private orphan(removal: Removal): void {
    if (removal.orphaned) return;
    removal.orphaned = true;
    this.options.onOrphan(removal.watched);
  }
}
