import type { Clock } from '../../router/clock.ts';
import { backoffDelay } from './backoff.ts';

export interface WorkQueueOptions {
  /** Brings what `key` names to what it should be. A rejection means: again, later. */
  process(key: string): Promise<void>;
  /** Told of every rejection; `retryIn` in milliseconds. */
  failed(key: string, error: unknown, retryIn: number): void;
  /** How many keys are worked on at the same time. */
  readonly workers: number;
  readonly clock: Clock;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
}

const retry = { first: 5, longest: 60_000 };

interface Alarm {
  readonly at: number;
  readonly cancel: () => void;
}

/**
 * Keys to work on, each at most once in the queue and never at two workers: a key that is added while it is worked on
 * comes once more afterwards. What happened to it is not in the queue: whoever works on a key looks at how things are.
 */
export class WorkQueue {
  private readonly options: WorkQueueOptions;
  private readonly waiting = new Set<string>();
  private readonly working = new Map<string, Promise<void>>();
  private readonly alarms = new Map<string, Alarm>();
  private readonly failures = new Map<string, number>();
  private closed = false;
  private startPlanned = false;

  constructor(options: WorkQueueOptions) {
    this.options = options;
  }

  /** Keys that wait for a worker; those that wait for their time are not among them. */
  get length(): number {
    return this.waiting.size;
  }

  add(key: string): void {
    if (this.closed) return;
    this.waiting.add(key);
    this.planStart();
  }

  /** Adds the key so many milliseconds from now; of several such times the earliest counts. */
  addAfter(key: string, milliseconds: number): void {
    if (this.closed) return;
    const { clock } = this.options;
    const at = clock.now() + milliseconds;
    const planned = this.alarms.get(key);
    if (planned !== undefined && planned.at <= at) return;
    planned?.cancel();
    const cancel = clock.after(milliseconds, () => {
      this.alarms.delete(key);
      this.add(key);
    });
    this.alarms.set(key, { at, cancel });
  }

  /** Nothing is started any more; resolves when what is under way has ended. */
  async close(): Promise<void> {
    this.closed = true;
    this.waiting.clear();
    for (const { cancel } of this.alarms.values()) cancel();
    this.alarms.clear();
    await Promise.all(this.working.values());
  }

  /** Work starts after whoever adds has done so for all keys, and never inside `add`. */
  private planStart(): void {
    if (this.startPlanned) return;
    this.startPlanned = true;
    queueMicrotask(() => {
      this.startPlanned = false;
      this.startAll();
    });
  }

  private startAll(): void {
    for (const key of this.waiting) {
      if (this.working.size >= this.options.workers) return;
      if (this.working.has(key)) continue;
      this.waiting.delete(key);
      this.working.set(key, this.work(key));
    }
  }

  private async work(key: string): Promise<void> {
    try {
      await this.options.process(key);
      this.failures.delete(key);
    } catch (error) {
      this.retryLater(key, error);
    }
    this.working.delete(key);
    if (this.waiting.size > 0) this.planStart();
  }

  private retryLater(key: string, error: unknown): void {
    const failures = this.failures.get(key) ?? 0;
    const retryIn = backoffDelay(retry, failures, this.options.random);
    this.failures.set(key, failures + 1);
    this.addAfter(key, retryIn);
    this.options.failed(key, error, retryIn);
  }
}
