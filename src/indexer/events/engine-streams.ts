import type { Holder } from '../kv-events.ts';
import type { AskSources } from './ask-sources.ts';
import { OtherGroups } from './decode.ts';
import type { EventSource } from './sources.ts';
import { KVEventStream, type StreamAddress, type StreamShared } from './stream.ts';
import { assumedSources, targetState, type EventTarget, type HolderRegistry, type TargetState } from './target.ts';

/** What an engine's streams need besides what all streams share. */
export interface EngineParts {
  readonly registry: HolderRegistry;
  readonly ask: AskSources;
  /** Told when the engine's holders have changed; none when it has gone. */
  readonly onHolders: (key: string, holders: readonly Holder[]) => void;
}

interface Rank {
  readonly rank: number;
  readonly address: StreamAddress;
  readonly holder: Holder | null;
  /** Null where there was no place for it, or its address was refused; `reason` says so. */
  readonly stream: KVEventStream | null;
  readonly reason: string;
}

const askAgainFirst = 1_000;
const askAgainMost = 30_000;

/** All ranks of one engine: one stream and one holder each. */
export class EngineStreams {
  readonly target: EventTarget;
  private readonly shared: StreamShared;
  private readonly parts: EngineParts;
  private readonly ranks = new Map<number, Rank>();
  private readonly closing = new Set<Promise<void>>();
  private readonly abort = new AbortController();
  private cancelAsk: () => void = () => undefined;

  constructor(target: EventTarget, shared: StreamShared, parts: EngineParts) {
    this.target = target;
    this.shared = shared;
    this.parts = parts;
    this.become(assumedSources(target));
    if (target.api !== null) this.track(this.askFor(target.api, askAgainFirst));
  }

  get state(): TargetState {
    const ranks = [...this.ranks.values()].map(({ rank, holder, stream, reason }) => ({
      rank,
      holder,
      phase: stream?.phase ?? ('given_up' as const),
      reason: stream?.reason ?? reason,
    }));
    return targetState(this.target.key, ranks, '');
  }

  /** Opens what could not be opened before. */
  retry(): void {
    const failed = [...this.ranks.values()].filter(({ stream }) => stream === null);
    for (const { rank, address } of failed) this.open(rank, address);
    if (failed.length > 0) this.tellHolders();
  }

  /** The holders are given back at once; settles when the sockets are gone too. */
  async close(): Promise<void> {
    this.abort.abort();
    this.cancelAsk();
    this.become([]);
    await Promise.all(this.closing);
  }

  private async askFor(api: string, againAfter: number): Promise<void> {
    const answer = await this.parts.ask(api, this.abort.signal);
    if (this.abort.signal.aborted || answer.type === 'absent') return;
    if (answer.type === 'sources') {
      this.become(answer.sources);
      return;
    }
    this.cancelAsk = this.shared.clock.after(againAfter, () => {
      this.track(this.askFor(api, Math.min(2 * againAfter, askAgainMost)));
    });
  }

  /** Level-based: what is the same goes on, what is not is closed or opened. */
  private become(sources: readonly EventSource[]): void {
    const wanted = new Map(sources.map((source) => [source.rank, this.addressOf(source)]));
    let changed = false;
    for (const { rank, address } of this.ranks.values()) {
      const next = wanted.get(rank);
      if (next !== undefined && isSame(next, address)) wanted.delete(rank);
      else {
        this.drop(rank);
        changed = true;
      }
    }
    for (const [rank, address] of wanted) this.open(rank, address);
    if (changed || wanted.size > 0) this.tellHolders();
  }

  private addressOf({ eventsPort, replayPort, topic }: EventSource): StreamAddress {
    const { host } = this.target;
    const at = (port: number): string => `tcp://${host.includes(':') ? `[${host}]` : host}:${port}`;
    return { events: at(eventsPort), replay: replayPort === null ? null : at(replayPort), topic };
  }

  private open(rank: number, address: StreamAddress): void {
    const holder = this.parts.registry.open();
    if (holder === null) {
      const reason = 'the index has no place for another KV cache';
      this.ranks.set(rank, { rank, address, holder, stream: null, reason });
      return;
    }
    try {
      const stream = new KVEventStream(this.shared, address, { holder, groups: new OtherGroups() });
      this.ranks.set(rank, { rank, address, holder, stream, reason: '' });
    } catch (error) {
      this.parts.registry.close(holder);
      const reason = `${address.events} cannot be subscribed to: ${String(error)}`;
      this.ranks.set(rank, { rank, address, holder: null, stream: null, reason });
    }
  }

  private drop(rank: number): void {
    const { holder, stream } = this.ranks.get(rank) ?? {};
    this.ranks.delete(rank);
    // The stream first: nothing may come in for a holder that has been given back.
    if (stream) this.track(stream.close());
    if (holder !== null && holder !== undefined) this.parts.registry.close(holder);
  }

  private tellHolders(): void {
    const holders: Holder[] = [];
    for (const { holder } of this.ranks.values()) if (holder !== null) holders.push(holder);
    this.parts.onHolders(this.target.key, holders);
  }

  private track(work: Promise<void>): void {
    const kept = work.finally(() => this.closing.delete(kept));
    this.closing.add(kept);
  }
}

function isSame(a: StreamAddress, b: StreamAddress): boolean {
  return a.events === b.events && a.replay === b.replay && a.topic === b.topic;
}
