import { randomBytes } from 'node:crypto';
import type { Discovery } from '../../controller/found.ts';
import { BlockIndex } from '../../indexer/blocks/block-index.ts';
import { askOverHttp, type AskSources } from '../../indexer/events/ask-sources.ts';
import { KVEventSubscriptions } from '../../indexer/events/subscriptions.ts';
import type { Holder } from '../../indexer/kv-events.ts';
import type { Knowledge } from '../../indexer/serve/answer.ts';
import { IndexLookup } from '../../indexer/serve/index-lookup.ts';
import type { Log } from '../../observability/log.ts';
import type { GaugeSource } from '../../observability/metrics.ts';
import type { Clock } from '../../router/clock.ts';
import { Engines, engineStates, type EngineState } from './engines.ts';
import { engineGauge, eventGauges, indexGauges } from './gauges.ts';
import { GroupTokenizers } from './group-tokenizers.ts';

/**
 * Room for four hundred engines of 10,000 blocks; at most 520 MB, committed as it fills. Nothing is routed here, so that
 * nothing is expected.
 */
const bounds = { maxBlocks: 4_194_304, maxPlacements: 8_388_608, maxHolders: 4096, maxExpected: 1 };
/** Entries of caches that are gone are freed so many at a time, so often (in milliseconds). */
const sweepBudget = 20_000;
const sweepInterval = 250;

const noHolders: readonly Holder[] = Object.freeze([]);

export interface IndexerOptions {
  readonly discovery: Discovery;
  readonly clock: Clock;
  readonly log: Log;
}

/** What engines there are, what they hold, and what their tokens are. */
export class Indexer {
  readonly engines: Engines;
  readonly knowledge: Knowledge;
  private readonly options: IndexerOptions;
  private readonly index: BlockIndex;
  private readonly streams: KVEventSubscriptions;
  private readonly tokenizers: GroupTokenizers;
  /** By key of the engine. */
  private readonly holders = new Map<string, readonly Holder[]>();
  private cancelSweep: () => void;

  constructor(options: IndexerOptions) {
    this.options = options;
    const { discovery, clock, log } = options;
    const secret = randomBytes(4).readUInt32LE();
    this.index = new BlockIndex({ secret, clock, bounds });
    this.streams = new KVEventSubscriptions({
      registry: this.index,
      sink: this.index,
      ask: (address, signal) => this.ask(address, signal),
      onHolders: (key, holders) => {
        if (holders.length === 0) this.holders.delete(key);
        else this.holders.set(key, holders);
      },
      clock,
    });
    this.engines = new Engines({
      discovery,
      holdersOf: (key) => this.holders.get(key) ?? noHolders,
      onChange: () => this.changed(),
      clock,
      log,
    });
    const { engines } = this;
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
      blocks: new IndexLookup(this.index, secret),
      tokenizer: this.tokenizers,
    };
    this.cancelSweep = clock.after(sweepInterval, this.sweep);
  }

  /** How each engine is followed. */
  states(): EngineState[] {
    return engineStates(this.engines.followed, this.streams.states());
  }

  gauges(): GaugeSource[] {
    return [
      engineGauge(() => this.states()),
      ...eventGauges(this.streams.counters),
      ...indexGauges(this.index),
      {
        name: 'hermes_tokenizer_misses_total',
        help: 'Prompts that could not be tokenised, by reason.',
        read: () => [...this.tokenizers.misses].map(([reason, value]) => ({ labels: { reason }, value })),
      },
    ];
  }

  async close(): Promise<void> {
    this.cancelSweep();
    this.engines.close();
    this.tokenizers.retain(new Map());
    await this.streams.close();
  }

  private changed(): void {
    this.streams.reconcile(this.engines.followed.flatMap(({ target }) => ('reason' in target ? [] : [target])));
    this.tokenizers.retain(this.engines.connections());
  }

  /** Engines may want the key that their group names. */
  private ask(address: string, signal: AbortSignal): ReturnType<AskSources> {
    const group = this.engines.groupOf(address);
    const apiKey = group === null ? undefined : this.engines.connections().get(group)?.apiKey;
    const headers = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
    return askOverHttp(this.options.clock, headers)(address, signal);
  }

  private readonly sweep = (): void => {
    this.index.sweep(sweepBudget);
    this.cancelSweep = this.options.clock.after(sweepInterval, this.sweep);
  };
}
