/** Bits of EndpointStates.flags. */
export const Flag = {
  /** Health checks pass (or none has failed yet). */
  healthy: 1,
  /** Thrown out for a while by passive health. */
  ejected: 2,
  /** Going away: running requests end, no new ones. */
  draining: 4,
  /** The engine says it sleeps; it would accept a request and never answer. */
  sleeping: 8,
  /** The last good scrape is older than `metrics.staleAfter`: scraped numbers count as zero. */
  stale: 16,
  /** Discovery holds it not ready: it is there, and gets no requests. */
  unready: 32,
} as const;

/** What one scrape of an engine's metrics says of its load. */
export interface LoadSample {
  /** Requests in the engine's queue. */
  readonly waiting: number;
  /** Requests in the engine's batch. */
  readonly running: number;
  /** Share of the KV cache in use, 0..1. */
  readonly usage: number;
}

const usable = Flag.healthy;
const usableMask = Flag.healthy | Flag.ejected | Flag.draining | Flag.sleeping | Flag.unready;

/**
 * The load and health of every endpoint, one row a slot, in flat arrays that may lie in shared memory, so that
 * worker threads can read one view of the load. Written by the datalayer (scrapes, health) and by Reservation.
 */
export class EndpointStates {
  readonly capacity: number;
  readonly flags: Uint8Array;
  /** This router's own requests in flight. */
  readonly inFlight: Int32Array;
  /** Prompt tokens, not cached there, of own requests without a first byte yet. */
  readonly queuedTokens: Float64Array;
  /** Own requests without a first byte yet. */
  readonly ownWaiting: Int32Array;
  /** Of those: sent since the last good scrape was started, so that it cannot have seen them. */
  readonly unseenWaiting: Int32Array;
  /** Of those: sent since the latest scrape, good or not, was started. */
  readonly newWaiting: Int32Array;
  /** Scraped: requests in the engine's queue. */
  readonly waiting: Float64Array;
  /** Scraped: requests in the engine's batch. */
  readonly running: Float64Array;
  /** Scraped: share of the KV cache in use, 0..1. */
  readonly usage: Float64Array;
  /** When the last good scrape was started, in milliseconds of the injected clock; 0 is never. */
  readonly scrapedAt: Float64Array;
  /** Share of traffic a new replica may be offered, 0..1; 1 is warm. */
  readonly warmth: Float64Array;
  /** Scrapes started; a reservation remembers the number it was made under. */
  readonly window: Uint32Array;
  /** The number of the last good scrape. */
  readonly seenWindow: Uint32Array;

  constructor(capacity = 4096) {
    this.capacity = capacity;
    const bytes = capacity * (8 * 6 + 4 * 6 + 1);
    const buffer = new SharedArrayBuffer(Math.ceil(bytes / 8) * 8);
    let at = 0;
    const f64 = (): Float64Array => {
      const view = new Float64Array(buffer, at, capacity);
      at += capacity * 8;
      return view;
    };
    const offset32 = (): number => {
      const start = at;
      at += capacity * 4;
      return start;
    };
    this.queuedTokens = f64();
    this.waiting = f64();
    this.running = f64();
    this.usage = f64();
    this.scrapedAt = f64();
    this.warmth = f64();
    this.inFlight = new Int32Array(buffer, offset32(), capacity);
    this.ownWaiting = new Int32Array(buffer, offset32(), capacity);
    this.unseenWaiting = new Int32Array(buffer, offset32(), capacity);
    this.newWaiting = new Int32Array(buffer, offset32(), capacity);
    this.window = new Uint32Array(buffer, offset32(), capacity);
    this.seenWindow = new Uint32Array(buffer, offset32(), capacity);
    this.flags = new Uint8Array(buffer, at, capacity);
  }

  /** Clears a row for a new endpoint: assumed healthy and warm until somebody knows better. */
  reset(slot: number): void {
    this.flags[slot] = Flag.healthy;
    this.inFlight[slot] = 0;
    this.queuedTokens[slot] = 0;
    this.ownWaiting[slot] = 0;
    this.unseenWaiting[slot] = 0;
    this.newWaiting[slot] = 0;
    this.waiting[slot] = 0;
    this.running[slot] = 0;
    this.usage[slot] = 0;
    this.scrapedAt[slot] = 0;
    this.warmth[slot] = 1;
    this.window[slot] = 1;
    this.seenWindow[slot] = 1;
  }

  /** Whether a new request may be sent there. */
  isReady(slot: number): boolean {
    return (this.flags[slot] & usableMask) === usable;
  }

  set(slot: number, flag: number, on: boolean): void {
    if (on) this.flags[slot] |= flag;
    else this.flags[slot] &= ~flag;
  }

  has(slot: number, flag: number): boolean {
    return (this.flags[slot] & flag) !== 0;
  }

  /** Requests waiting there: the scraped number and what this router has sent since, without a first byte yet. */
  waitingNow(slot: number): number {
    const scraped = this.has(slot, Flag.stale) ? 0 : this.waiting[slot];
    const unseen = this.has(slot, Flag.stale) ? this.ownWaiting[slot] : this.unseenWaiting[slot];
    return scraped + unseen;
  }

  /** Requests running there: the scraped number and what this router has sent since, which will run soon. */
  runningNow(slot: number): number {
    return this.has(slot, Flag.stale) ? this.inFlight[slot] : this.running[slot] + this.unseenWaiting[slot];
  }

  /** KV-cache usage there, 0..1; unknown counts as empty. */
  usageNow(slot: number): number {
    return this.has(slot, Flag.stale) ? 0 : this.usage[slot];
  }

  /** A scrape starts: what is sent from here on it cannot see. One scrape an endpoint at a time. */
  scrapeStarts(slot: number): void {
    this.window[slot] += 1;
    this.newWaiting[slot] = 0;
  }

  /** The scrape that was started last has come back; `at` is when it was started, in milliseconds. */
  scrapeSucceeds(slot: number, sample: LoadSample, at: number): void {
    this.seenWindow[slot] = this.window[slot];
    this.unseenWaiting[slot] = this.newWaiting[slot];
    this.waiting[slot] = sample.waiting;
    this.running[slot] = sample.running;
    this.usage[slot] = sample.usage;
    this.scrapedAt[slot] = at;
    this.set(slot, Flag.stale, false);
  }
}
