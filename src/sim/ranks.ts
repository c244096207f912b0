import type { SharedStore } from './allocation.ts';
import { EngineDriver, type DriverDependencies } from './driver.ts';
import { Engine } from './engine.ts';
import { KvEventBatches } from './kv-events.ts';
import { KvEventPublisher, type KvEventAddresses } from './kv-publisher.ts';
import type { ServiceModel } from './service-model.ts';

/** One data-parallel rank: an engine with a KV cache of its own, behind the same API as its siblings. */
export interface Rank {
  readonly engine: Engine;
  readonly driver: EngineDriver;
  readonly publisher: KvEventPublisher | null;
}

export interface RankDependencies extends DriverDependencies {
  readonly service: ServiceModel;
  /** Seconds since the epoch. */
  readonly wallSeconds: () => number;
  /** Storage shared with other engines; null without. */
  readonly store: SharedStore | null;
}

/** Makes the rank of this number; its events go to the publisher, if there is one. */
export function makeRank(
  number: number,
  publisher: KvEventPublisher | null,
  { service, wallSeconds, store, ...dependencies }: RankDependencies,
): Rank {
  const publish = (payload: Uint8Array): void => publisher?.publish(payload);
  const batches = publisher === null ? null : new KvEventBatches(service.blockSize, wallSeconds, publish, number);
  const engine = new Engine(service, batches, store);
  return { engine, driver: new EngineDriver(engine, dependencies), publisher };
}

/** The rank with the least to do; the first of several. A waiting request counts as four running ones, as in vLLM. */
export function leastLoaded(ranks: readonly Rank[]): Rank {
  const load = ({ engine }: Rank): number => engine.running + 4 * engine.waiting;
  return ranks.reduce((best, rank) => (load(rank) < load(best) ? rank : best));
}

const attempts = 50;

/**
 * Binds a publisher for each rank: rank r at the asked ports + r. Where port 0 asks for a free one, neighbours of it may be
 * taken: then others are tried.
 */
export async function bindPublishers(
  asked: KvEventAddresses,
  ranks: number,
  onError: (error: unknown) => void,
): Promise<KvEventPublisher[]> {
  for (let attempt = 1; ; attempt++) {
    const bound: KvEventPublisher[] = [];
    try {
      bound.push(await KvEventPublisher.bind(asked, onError));
      const { addresses } = bound[0];
      while (bound.length < ranks) bound.push(await KvEventPublisher.bind(shifted(addresses, bound.length), onError));
      return bound;
    } catch (error) {
      for (const publisher of bound) publisher.close();
      if (bound.length === 0 || attempt === attempts || !/:0$/.test(asked.events)) throw error;
    }
  }
}

function shifted({ events, replay }: KvEventAddresses, by: number): KvEventAddresses {
  const shift = (address: string): string => address.replace(/\d+$/, (port) => String(Number(port) + by));
  return { events: shift(events), replay: replay === null ? null : shift(replay) };
}
