import { errorText, rateLimited, type Log } from '../log.ts';

/** Sends a batch; `code` 0 means that it has arrived. */
export interface BatchExporter<S> {
  export(spans: S[], done: (result: { readonly code: number; readonly error?: Error }) => void): void;
}

/** As much of a clock as the queue needs. */
export interface QueueClock {
  now(): number;
  after(milliseconds: number, callback: () => void): () => void;
}

export interface QueueOptions {
  readonly clock: QueueClock;
  readonly log: Log;
  /** Spans that wait at most; further ones are dropped. */
  readonly capacity: number;
  /** Spans that go with one call, at most. */
  readonly batch: number;
  /** Milliseconds that a span waits for others, at most. */
  readonly delay: number;
  /** Milliseconds after which a call that has not ended counts as failed, whatever the exporter thinks. */
  readonly timeout: number;
}

/** Characters of what a collector says that are repeated. */
const longestReason = 200;

export type DropReason = 'queue_full' | 'export_failed' | 'shutdown';

/**
 * Ended spans on their way to the collector: in batches, one at a time, so that a collector that is away or slow costs
 * no more memory than the queue and the batch under way. What is lost is counted, and told now and then.
 */
export class SpanQueue<S> {
  exported = 0;
  readonly dropped = new Map<DropReason, number>();
  private readonly exporter: BatchExporter<S>;
  private readonly options: QueueOptions;
  private readonly log: Log;
  private waiting: S[] = [];
  private sending = false;
  private closed = false;
  private cancelTimer: (() => void) | null = null;
  private onIdle: (() => void) | null = null;

  constructor(exporter: BatchExporter<S>, options: QueueOptions) {
    this.exporter = exporter;
    this.options = options;
    this.log = rateLimited(options.log, () => options.clock.now());
  }

  get length(): number {
    return this.waiting.length;
  }

  push(span: S): void {
    const { waiting, options } = this;
    if (this.closed || waiting.length >= options.capacity) {
      this.drop(this.closed ? 'shutdown' : 'queue_full', 1, 'the collector takes spans more slowly than they come');
      return;
    }
    waiting.push(span);
    if (this.sending) return;
    if (waiting.length >= options.batch) this.send();
    else this.cancelTimer ??= options.clock.after(options.delay, () => this.send());
  }

  /** Sends what waits; settles when all of it has gone, or after so many milliseconds, when the rest is given up. */
  async close(limit: number): Promise<void> {
    const idle = new Promise<void>((resolve) => (this.onIdle = resolve));
    let cancel = (): void => undefined;
    const late = new Promise<void>((resolve) => (cancel = this.options.clock.after(limit, resolve)));
    if (!this.sending) this.send();
    await Promise.race([idle, late]);
    cancel();
    this.closed = true;
    this.cancelTimer?.();
    const left = this.waiting.splice(0).length;
    if (left > 0) this.drop('shutdown', left, 'the collector did not take them before the end');
  }

  private send(): void {
    this.cancelTimer?.();
    this.cancelTimer = null;
    if (this.waiting.length === 0) {
      this.onIdle?.();
      return;
    }
    const { batch: most, clock, timeout } = this.options;
    const batch = this.waiting.splice(0, most);
    this.sending = true;
    let over = false;
    const settle = (error: unknown): void => {
      if (over) return;
      over = true;
      cancel();
      this.sent(batch.length, error);
    };
    const cancel = clock.after(timeout, () => settle(new Error(`no answer within ${timeout} ms`)));
    try {
      this.exporter.export(batch, ({ code, error }) => settle(code === 0 ? null : (error ?? new Error('no reason'))));
    } catch (error) {
      settle(error);
    }
  }

  /** `error` is null where the batch has arrived. */
  private sent(count: number, error: unknown): void {
    if (error === null) this.exported += count;
    else this.drop('export_failed', count, reasonOf(error));
    this.sending = false;
    const { waiting, options } = this;
    if (this.closed) return;
    if (this.onIdle !== null || waiting.length >= options.batch) this.send();
    else if (waiting.length > 0) this.cancelTimer ??= options.clock.after(options.delay, () => this.send());
  }

  private drop(reason: DropReason, count: number, error: string): void {
    const total = (this.dropped.get(reason) ?? 0) + count;
    this.dropped.set(reason, total);
    this.log.warn('spans of traces were dropped', { reason, count, total, error });
  }
}

/** Where a name has several addresses, the error that none answers says nothing but its code. */
function reasonOf(error: unknown): string {
  const text = errorText(error);
  if (text !== '') return text.slice(0, longestReason);
  return error instanceof Error && 'code' in error ? String(error.code) : 'no reason';
}
