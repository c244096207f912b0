import type { Candidates } from '../../router/candidates.ts';
import type { Clock } from '../../router/clock.ts';
import type { PrefixSource } from '../../router/prefix.ts';
import type { InferenceRequest } from '../../router/request.ts';
import type { Connect } from './connection.ts';
import { noCounts, type SharedPrefixCounters } from './counters.ts';
import { Engines, type SharedEngine } from './engines.ts';
import { Ledger } from './ledger.ts';
import { Listener, type LearningIndex } from './listener.ts';
import { Sealer, Unsealer } from './seal.ts';
import { Session, type Place } from './session.ts';
import { StoreError, type StoreTrouble } from './store-error.ts';
import { Teller } from './teller.ts';

/** Milliseconds that what was routed waits for company. */
const flushInterval = 50;
/** Requests whose blocks are looked at without a break. */
const flushedAtOnce = 8;
/** Bytes of entries that the stream keeps, whoever wrote them. */
export const defaultStreamBytes = 32 * 1024 * 1024;
/** Milliseconds that entries are kept. */
export const defaultKeepFor = 3_600_000;
/** Epochs that fit into the time that entries are kept: what is in use is told again each epoch. */
const epochsKept = 4;
const firstPause = 250;
const longestPause = 15_000;
/** Milliseconds of being connected after which a failure is the first of its kind again. */
const steady = 10_000;
/** Milliseconds between two times that the stream is read again from its start. */
const recallInterval = 10_000;

/** Whether prefixes are shared with the other replicas. */
export interface SharedPrefixState {
  readonly connected: boolean;
  /** Whether the stream has been read to its end once: this replica knows what the others know. */
  readonly warm: boolean;
  /** When `connected` or `reason` last changed, in milliseconds of the clock. */
  readonly since: number;
  readonly reason: 'Connecting' | 'Connected' | StoreTrouble;
  /** For a person; free of secrets and of prompts. */
  readonly message: string;
}

export interface SharedPrefixStoreOptions {
  readonly connect: Connect;
  /** The local index: it decides, whatever becomes of the store. */
  readonly index: PrefixSource & LearningIndex;
  /** At least 32 random bytes, the same in all replicas; prompts are seeded with `promptSecretOf(prefixKey)`. */
  readonly prefixKey: Uint8Array;
  /** Key of the stream in the store: one for each group of engines. */
  readonly stream: string;
  readonly clock: Clock;
  /** Uniform in [0, 1), for jitter. */
  readonly random: () => number;
  /** When the process of the engine at the slot started, in seconds since 1970; 0 while that is not known. */
  readonly startedAt: (slot: number) => number;
  /** Told of every change of `state`. */
  readonly onState: (state: SharedPrefixState) => void;
  readonly streamBytes?: number;
  /** Milliseconds that entries are kept. */
  readonly keepFor?: number;
}

/**
 * A prefix source that shares what it learns with the other replicas by a stream in Redis or Valkey. Answers come from
 * the local index alone; what was routed is copied and told later, what others tell is learnt when it comes. While the
 * store is away nothing else changes. Throws PrefixKeyError.
 */
export class SharedPrefixStore implements PrefixSource {
  readonly counters: Readonly<SharedPrefixCounters>;
  private readonly options: SharedPrefixStoreOptions;
  private readonly counts = noCounts();
  private readonly engines: Engines;
  private readonly teller: Teller;
  private readonly listener: Listener;
  private readonly place: Place;
  private readonly recalls = new Set<number>();
  private nextRecall = 0;
  private session: Session | null = null;
  private current: SharedPrefixState;
  private scheduled = false;
  private closed = false;
  private pause = firstPause;
  private cancelPause: () => void = () => undefined;

  constructor(options: SharedPrefixStoreOptions) {
    const { index, prefixKey, stream, clock, startedAt } = options;
    const { streamBytes = defaultStreamBytes, keepFor = defaultKeepFor } = options;
    const { counts } = this;
    this.options = options;
    this.counters = counts;
    this.engines = new Engines(startedAt);
    const sealer = new Sealer(prefixKey, stream);
    const { engines } = this;
    this.teller = new Teller({
      engines,
      sealer,
      counters: counts,
      epochAge: keepFor / epochsKept,
      now: () => clock.now(),
      check: (slot) => this.check(slot),
    });
    this.listener = new Listener({
      index,
      engines,
      announced: this.teller.announced,
      unsealer: new Unsealer(prefixKey, stream),
      counters: counts,
      self: sealer.writer.toString('hex'),
      live: () => this.place.warm,
    });
    this.place = { position: '0-0', warm: false, ledger: new Ledger(streamBytes, keepFor) };
    this.current = { connected: false, warm: false, since: clock.now(), reason: 'Connecting', message: 'connecting' };
    this.open();
  }

  get state(): SharedPrefixState {
    return this.current;
  }

  /** Bytes of entries that wait to be written. */
  get pendingBytes(): number {
    return this.teller.queue.bytes;
  }

  match(request: InferenceRequest, candidates: Candidates, out: Float64Array): void {
    this.options.index.match(request, candidates, out);
  }

  routed(request: InferenceRequest, slot: number): void {
    this.options.index.routed(request, slot);
    const { prompt } = request;
    const blocks = prompt.blocks();
    if (blocks === 0) return;
    this.teller.routed(slot, prompt.keys, blocks);
    this.schedule();
  }

  answered(slot: number, predicted: number, cached: number | null): void {
    this.options.index.answered(slot, predicted, cached);
  }

  /** The engines of the group: before the first request goes there, and whenever they change. */
  reconcile(engines: readonly SharedEngine[]): void {
    // What has been routed so far is about those that had the slots until now.
    this.teller.flush(Infinity);
    const { changed, missed } = this.engines.reconcile(engines);
    for (const slot of changed) this.teller.announced.forget(slot);
    this.recall(missed);
  }

  forget(slot: number): void {
    const started = this.options.startedAt(slot);
    const known = this.engines.life(slot);
    // The stream has told of this restart already, and of what the new process has been sent since.
    if (started > 0 && started === known) return;
    this.engines.outlived(slot);
    this.listener.void(slot);
    if (this.engines.life(slot) === 0) this.teller.forget(slot);
    // Nobody knows yet whether it is another process; if it is, its start time will tell.
    else if (started === 0) this.recall([slot]);
    this.session?.wake();
  }

  /** Ends the connections. */
  close(): void {
    this.closed = true;
    this.cancelPause();
    this.session?.close();
  }

  private check(slot: number): void {
    if (this.engines.outlived(slot)) this.listener.void(slot);
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    this.options.clock.after(flushInterval, this.flush);
  }

  private readonly flush = (): void => {
    // In small bites: books that grow take a moment, and requests go between.
    if (this.teller.flush(flushedAtOnce)) {
      setImmediate(this.flush);
      return;
    }
    this.scheduled = false;
    this.session?.wake();
  };

  private recall(slots: readonly number[]): void {
    if (slots.length === 0) return;
    const first = this.recalls.size === 0;
    for (const slot of slots) this.recalls.add(slot);
    if (!first) return;
    const wait = Math.max(0, this.nextRecall - this.options.clock.now());
    if (wait === 0) this.session?.wake();
    else this.options.clock.after(wait, () => this.session?.wake());
  }

  private takeRecall(): ReadonlySet<number> | null {
    const { clock } = this.options;
    if (this.recalls.size === 0 || clock.now() < this.nextRecall) return null;
    this.nextRecall = clock.now() + recallInterval;
    const slots = new Set(this.recalls);
    this.recalls.clear();
    return slots;
  }

  private open(): void {
    const { options, teller, listener, place, counts } = this;
    const { clock, connect, stream, keepFor = defaultKeepFor } = options;
    let readyAt = Infinity;
    const session = new Session({
      connect,
      stream,
      keepFor,
      place,
      now: () => clock.now(),
      onReady: () => {
        readyAt = clock.now();
        // The stream may have lost everything meanwhile.
        teller.renew();
        this.become(true, 'Connected', 'prefixes are shared');
      },
      onWarm: () => {
        this.become(true, 'Connected', 'prefixes are shared');
        session.wake();
      },
      onEntry: (sealed) => listener.take(sealed),
      next: () => teller.queue.first,
      onWritten: (entry) => {
        counts.sent += 1;
        counts.sentBytes += entry.length;
        teller.queue.remove(entry);
      },
      takeRecall: () => this.takeRecall(),
      onRecalled: (sealed, slots) => listener.recall(sealed, slots),
    });
    this.session = session;
    session.run().catch((error: unknown) => this.failed(error, readyAt));
  }

  private failed(error: unknown, readyAt: number): void {
    this.session = null;
    if (this.closed) return;
    const { clock, random } = this.options;
    this.counts.failures += 1;
    const trouble = error instanceof StoreError ? error : new StoreError('Misbehaving', String(error));
    this.become(false, trouble.trouble, trouble.message);
    if (clock.now() - readyAt >= steady) this.pause = firstPause;
    // Replicas that lost it together do not come back together.
    const wait = this.pause * (0.5 + random() / 2);
    this.pause = Math.min(longestPause, this.pause * 2);
    this.cancelPause = clock.after(wait, () => this.open());
  }

  private become(connected: boolean, reason: SharedPrefixState['reason'], message: string): void {
    const { current, place, options } = this;
    const same = current.connected === connected && current.reason === reason;
    if (same && current.warm === place.warm && current.message === message) return;
    const since = same ? current.since : options.clock.now();
    this.current = { connected, warm: place.warm, since, reason, message };
    options.onState(this.current);
  }
}
