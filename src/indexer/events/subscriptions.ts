import type { Clock } from '../../router/clock.ts';
import type { KVEventSink } from '../kv-events.ts';
import { newCounters, type KVEventCounters } from './counters.ts';
import { KVEventDecoder } from './decode.ts';
import { EngineStreams, type EngineParts } from './engine-streams.ts';
import { streamLimits, type StreamLimits } from './limits.ts';
import { Pace } from './pace.ts';
import type { StreamShared } from './stream.ts';
import { targetState, type EventTarget, type TargetState } from './target.ts';
import { Turnstile } from './turnstile.ts';
import { loadZmq, type Zmq } from './zmq.ts';

export interface SubscriptionsOptions extends EngineParts {
  /** The block index. */
  readonly sink: KVEventSink;
  readonly clock: Clock;
  readonly limits?: StreamLimits;
}

/** Replays at one time; the others wait, since each may fill a socket's queue. */
const replaysAtOnce = 4;

/**
 * The KV events of all engines of a router. Level-based: `reconcile` says which engines there are, and streams and holders
 * follow; an engine that has gone loses its holders before the call returns.
 */
export class KVEventSubscriptions {
  readonly counters: KVEventCounters = newCounters();
  private readonly options: SubscriptionsOptions;
  private readonly engines = new Map<string, EngineStreams>();
  private readonly closing = new Set<Promise<void>>();
  private targets: readonly EventTarget[] = [];
  private shared: StreamShared | null = null;
  private loading: Promise<void> | null = null;
  /** Why there are no events at all; empty while there may be. */
  private fault = '';
  private closed = false;

  constructor(options: SubscriptionsOptions) {
    this.options = options;
  }

  /** Brings the streams in line with these engines. The first call with one loads the native library. */
  reconcile(targets: readonly EventTarget[]): void {
    if (this.closed) return;
    this.targets = targets;
    if (this.shared !== null) this.settle(this.shared);
    else if (targets.length > 0) this.loading ??= this.load();
  }

  /** How each engine's streams are doing, in the order of the last `reconcile`. */
  states(): TargetState[] {
    return this.targets.map(({ key }) => this.engines.get(key)?.state ?? targetState(key, [], this.fault));
  }

  /** Gives back every holder; settles when no socket and no timer is left. */
  async close(): Promise<void> {
    this.closed = true;
    this.targets = [];
    await this.loading;
    for (const key of [...this.engines.keys()]) this.drop(key);
    await Promise.all(this.closing);
  }

  private async load(): Promise<void> {
    try {
      this.shared = this.share(await loadZmq());
    } catch (error) {
      this.fault = `KV events need the package zeromq, which does not load here: ${String(error)}`;
      return;
    }
    this.settle(this.shared);
  }

  private share(zmq: Zmq): StreamShared {
    const { sink, clock, limits = streamLimits } = this.options;
    const { counters } = this;
    const decoder = new KVEventDecoder(sink, counters);
    return {
      zmq,
      sink,
      decoder,
      counters,
      clock,
      pace: new Pace(clock),
      turnstile: new Turnstile(replaysAtOnce),
      limits,
    };
  }

  private settle(shared: StreamShared): void {
    const wanted = new Map(this.targets.map((target) => [target.key, target]));
    for (const [key, engine] of this.engines) {
      const target = wanted.get(key);
      if (target === undefined || !isSame(target, engine.target)) this.drop(key);
      else engine.retry();
    }
    for (const [key, target] of wanted)
      if (!this.engines.has(key)) this.engines.set(key, new EngineStreams(target, shared, this.options));
  }

  private drop(key: string): void {
    const engine = this.engines.get(key);
    if (engine === undefined) return;
    this.engines.delete(key);
    const kept = engine.close().finally(() => this.closing.delete(kept));
    this.closing.add(kept);
  }
}

function isSame(a: EventTarget, b: EventTarget): boolean {
  const addressed = a.host === b.host && a.eventsPort === b.eventsPort && a.replayPort === b.replayPort;
  return addressed && a.ranks === b.ranks && a.topic === b.topic && a.api === b.api;
}
