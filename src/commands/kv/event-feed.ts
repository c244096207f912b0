import { randomBytes } from 'node:crypto';
import { BlockIndex } from '../../indexer/blocks/block-index.ts';
import type { BlockIndexBounds } from '../../indexer/blocks/bounds.ts';
import { askOverHttp } from '../../indexer/events/ask-sources.ts';
import { KVEventSubscriptions } from '../../indexer/events/subscriptions.ts';
import type { Holder } from '../../indexer/kv-events.ts';
import type { Clock } from '../../router/clock.ts';

/** Entries of caches that are gone are freed so many at a time, so often (in milliseconds). */
const sweepBudget = 4000;
const sweepInterval = 250;

const nobody: readonly Holder[] = Object.freeze([]);

export interface EventFeedOptions {
  readonly clock: Clock;
  readonly bounds?: Partial<BlockIndexBounds>;
  /** The key that the engine whose API is at an address wants; undefined for none. */
  readonly apiKeyOf: (address: string) => string | undefined;
  /** The engine of that key has other KV caches than before. */
  readonly onHolders?: (key: string) => void;
}

/** A block index, and the streams of events that fill it. */
export class EventFeed {
  /** What the keys of the index depend on; 32 bits. */
  readonly secret = randomBytes(4).readUInt32LE();
  readonly index: BlockIndex;
  readonly streams: KVEventSubscriptions;
  private readonly clock: Clock;
  private readonly holders = new Map<string, readonly Holder[]>();
  private cancelSweep: () => void;

  constructor({ clock, bounds = {}, apiKeyOf, onHolders }: EventFeedOptions) {
    this.clock = clock;
    this.index = new BlockIndex({ secret: this.secret, clock, bounds });
    this.streams = new KVEventSubscriptions({
      registry: this.index,
      sink: this.index,
      ask: (address, signal) => {
        const apiKey = apiKeyOf(address);
        const headers = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
        return askOverHttp(clock, headers)(address, signal);
      },
      onHolders: (key, holders) => {
        if (holders.length === 0) this.holders.delete(key);
        else this.holders.set(key, holders);
        onHolders?.(key);
      },
      clock,
    });
    this.cancelSweep = clock.after(sweepInterval, this.sweep);
  }

  /** KV caches of the engine of that key: one for each data-parallel rank. */
  holdersOf(key: string): readonly Holder[] {
    return this.holders.get(key) ?? nobody;
  }

  /** Settles when no socket is left. */
  async close(): Promise<void> {
    this.cancelSweep();
    await this.streams.close();
  }

  private readonly sweep = (): void => {
    this.index.sweep(sweepBudget);
    this.cancelSweep = this.clock.after(sweepInterval, this.sweep);
  };
}
