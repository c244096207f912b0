import type { Discovery } from '../../controller/found.ts';
import type { Knowledge } from '../../indexer/serve/answer.ts';
import { IndexLookup } from '../../indexer/serve/index-lookup.ts';
import type { Log } from '../../observability/log.ts';
import type { GaugeSource } from '../../observability/metrics.ts';
import type { Clock } from '../../router/clock.ts';
import { EventFeed } from '../kv/event-feed.ts';
import { eventGauges, indexGauges, missGauge, streamGauge } from '../kv/gauges.ts';
import { Engines, engineStates, type EngineState } from './engines.ts';
import { GroupTokenizers } from './group-tokenizers.ts';

/**
 * Room for four hundred engines of 10,000 blocks; at most 520 MB, committed as it fills. Nothing is routed here, so that
 * nothing is expected.
 */
const bounds = { maxBlocks: 4_194_304, maxPlacements: 8_388_608, maxHolders: 4096, maxExpected: 1 };

export interface IndexerOptions {
  readonly discovery: Discovery;
  readonly clock: Clock;
  readonly log: Log;
}

/** What engines there are, what they hold, and what their tokens are. */
export class Indexer {
  readonly engines: Engines;
  readonly knowledge: Knowledge;
  private readonly feed: EventFeed;
  private readonly tokenizers: GroupTokenizers;

  constructor({ discovery, clock, log }: IndexerOptions) {
    this.feed = new EventFeed({ clock, bounds, apiKeyOf: (address) => this.engines.apiKeyOf(address) });
    this.engines = new Engines({
      discovery,
      holdersOf: (key) => this.feed.holdersOf(key),
      onChange: () => this.changed(),
      clock,
      log,
    });
    const { engines, feed } = this;
    this.tokenizers = new GroupTokenizers({
      groupOf: (address) => engines.groupOf(address),
      isReady: (address) => engines.isReady(address),
      clock,
      log,
    });
    this.knowledge = {
      get roster() {
        return engines.roster;
      },
      blocks: new IndexLookup(feed.index, feed.secret),
      tokenizer: this.tokenizers,
    };
  }

  /** How each engine is followed. */
  states(): EngineState[] {
    return engineStates(this.engines.followed, this.feed.streams.states());
  }

  gauges(): GaugeSource[] {
    const { index, streams } = this.feed;
    return [
      streamGauge(() => this.states()),
      ...eventGauges(() => streams.counters),
      ...indexGauges(() => index),
      missGauge(() => this.tokenizers.misses),
    ];
  }

  async close(): Promise<void> {
    this.engines.close();
    this.tokenizers.retain(new Map());
    await this.feed.close();
  }

  private changed(): void {
    const { followed } = this.engines;
    this.feed.streams.reconcile(followed.flatMap(({ target }) => ('reason' in target ? [] : [target])));
    this.tokenizers.retain(this.engines.connections());
  }
}
