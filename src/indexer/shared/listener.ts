import type { Announced } from './announced.ts';
import { readBatch, type BatchRecord } from './batch.ts';
import type { SharedPrefixCounters } from './counters.ts';
import type { Engines } from './engines.ts';
import type { Unsealer } from './seal.ts';

/** An index that takes in what other replicas have sent. */
export interface LearningIndex {
  /** `extending`: the first key is the parent of the others; false, and nothing learnt, where it is not held. */
  learn(slot: number, keys: Uint32Array, extending: boolean): boolean;
  forget(slot: number): void;
}

export interface ListenerOptions {
  readonly index: LearningIndex;
  readonly engines: Engines;
  readonly announced: Announced;
  readonly unsealer: Unsealer;
  readonly counters: SharedPrefixCounters;
  /** This replica's own name as a writer, in hex. */
  readonly self: string;
  /**
   * Whether what others tell need not be told again. While a replica reads what lies in the stream already it need not
   * remember so much: it tells what it routes once itself, and that stays in the stream the longer.
   */
  readonly live: () => boolean;
}

/** Longer entries are not written by us; opening one would only cost time. */
const longestEntry = 256 * 1024;
const mostWriters = 1024;

/** Takes in what replicas have told. */
export class Listener {
  private readonly options: ListenerOptions;
  /** The last entry taken in of each writer. */
  private readonly heard = new Map<string, number>();

  constructor(options: ListenerOptions) {
    this.options = options;
  }

  /** An entry of the stream, in its order. */
  take(sealed: Buffer): void {
    const { counters, self } = this.options;
    const opened = this.open(sealed);
    if (opened === null || opened.writer === self) return;
    if (opened.counter <= (this.heard.get(opened.writer) ?? 0)) {
      counters.repeated += 1;
      return;
    }
    if (this.heard.size >= mostWriters) this.heard.clear();
    this.heard.set(opened.writer, opened.counter);
    counters.received += 1;
    counters.receivedBytes += sealed.length;
    for (const record of opened.records) this.apply(record, null);
  }

  /** An entry once more, for engines that were not known when it came; our own ones count too. */
  recall(sealed: Buffer, slots: ReadonlySet<number>): void {
    for (const record of this.open(sealed)?.records ?? []) this.apply(record, slots);
  }

  /** What is held of the engine is void. */
  void(slot: number): void {
    this.options.index.forget(slot);
    this.options.announced.forget(slot);
  }

  private open(sealed: Buffer): { writer: string; counter: number; records: readonly BatchRecord[] } | null {
    const { unsealer, counters } = this.options;
    const opened = sealed.length > longestEntry ? null : unsealer.open(sealed);
    const records = opened === null ? null : readBatch(opened.plain);
    if (opened !== null && records !== null) return { writer: opened.writer, counter: opened.counter, records };
    counters.foreign += 1;
    return null;
  }

  /** `only`: the slots that are meant; null for all. */
  private apply(record: BatchRecord, only: ReadonlySet<number> | null): void {
    const { engines, counters } = this.options;
    const { engine } = record;
    const slot = engines.slotOf(engine);
    if (slot < 0) {
      counters.unknown += 1;
      return;
    }
    if (only !== null && !only.has(slot)) return;
    if (engines.outlived(slot)) this.void(slot);
    const standing = engines.judge(slot, engine.life);
    if (standing === 'stale') {
      counters.stale += 1;
      return;
    }
    // Where start times are known they tell of restarts, to each replica by itself.
    if (standing === 'restarted' || (record.forget && engines.life(slot) === 0)) this.void(slot);
    if (record.keys.length > 0) this.learn(slot, record);
  }

  private learn(slot: number, { keys, extends: extending }: BatchRecord): void {
    const { index, announced, counters, live } = this.options;
    if (!index.learn(slot, keys, extending)) {
      counters.orphaned += 1;
      return;
    }
    counters.learnedBlocks += keys.length / 2 - (extending ? 1 : 0);
    if (live()) announced.add(slot, keys, extending);
  }
}
