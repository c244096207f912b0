import { Announced } from './announced.ts';
import { BatchWriter } from './batch.ts';
import type { SharedPrefixCounters } from './counters.ts';
import type { Engines } from './engines.ts';
import { Outbox } from './outbox.ts';
import type { Sealer } from './seal.ts';
import { SendQueue } from './send-queue.ts';

/** Blocks of an epoch: 4 MiB of keys in the stream, 25 MB of memory here. */
const epochBlocks = 524_288;
/** Bytes of entries that wait while the store is away. */
const queueBytes = 4 * 1024 * 1024;

export interface TellerOptions {
  readonly engines: Engines;
  readonly sealer: Sealer;
  readonly counters: SharedPrefixCounters;
  /** Milliseconds of an epoch. */
  readonly epochAge: number;
  readonly now: () => number;
  /** Looks whether the engine is another process than the books are about. */
  readonly check: (slot: number) => void;
}

/** What this replica has to tell the others: which blocks it has sent to which engine, as far as they are news. */
export class Teller {
  readonly announced = new Announced(epochBlocks);
  readonly queue: SendQueue;
  private readonly options: TellerOptions;
  private readonly outbox = new Outbox();
  private readonly batch = new BatchWriter();
  private epochStart: number;
  private overflowed = false;

  constructor(options: TellerOptions) {
    this.options = options;
    this.epochStart = options.now();
    this.queue = new SendQueue(queueBytes, () => {
      options.counters.dropped += 1;
      this.overflowed = true;
    });
  }

  /** Hot path: nothing but a copy. */
  routed(slot: number, keys: Uint32Array, blocks: number): void {
    this.outbox.add(slot, keys, blocks);
  }

  /** Makes entries of the next `most` requests that came since the last time; returns whether there are more. */
  flush(most: number): boolean {
    const { now, epochAge, counters } = this.options;
    if (now() - this.epochStart >= epochAge) this.renew();
    counters.dropped += this.outbox.dropped;
    this.outbox.dropped = 0;
    const more = this.outbox.drain((slot, keys) => this.tell(slot, keys), most);
    if (!more) this.push();
    // What was dropped counted as told: from here on nothing does.
    if (this.overflowed) this.renew();
    return more;
  }

  /** An engine whose start time nobody knows has restarted: what was told of it is void. */
  forget(slot: number): void {
    this.flush(Infinity);
    const engine = this.options.engines.nameOf(slot);
    if (engine === null) return;
    this.announced.forget(slot);
    this.batch.forget(engine);
    this.push();
  }

  /** A new epoch: everything in use is told again. */
  renew(): void {
    this.announced.renew();
    this.epochStart = this.options.now();
    this.overflowed = false;
  }

  private tell(slot: number, keys: Uint32Array): void {
    const { batch, announced, options } = this;
    options.check(slot);
    const engine = options.engines.nameOf(slot);
    if (engine === null) return;
    const blocks = keys.length / 2;
    let from = announced.told(slot, keys, blocks);
    if (from === blocks) return;
    announced.add(slot, keys, false);
    options.counters.toldBlocks += blocks - from;
    while (from < blocks) {
      if (batch.room < 2) this.push();
      const to = Math.min(blocks, from + batch.room - (from > 0 ? 1 : 0));
      batch.add(engine, keys, from, to);
      from = to;
    }
  }

  private push(): void {
    if (this.batch.empty) return;
    this.queue.add(this.options.sealer.seal(this.batch.take()));
  }
}
