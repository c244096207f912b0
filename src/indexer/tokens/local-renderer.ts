import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../router/clock.ts';
import { Breaker } from '../breaker.ts';
import { isRecord } from './asked.ts';
import type { Outcome, Question, Renderer } from './contract.ts';

/** Milliseconds without any answer after which the thread is ended: some prompt has caught it. */
const patience = 5_000;
/** Heap of the thread, in MiB: a vocabulary of 256,000 tokens takes about 150. */
const heapLimit = 512;

export interface LocalRendererOptions {
  /** Holds `tokenizer.json` and what belongs to it. */
  readonly folder: string;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Told why the thread could not start or has ended; it is started anew at the next question. */
  readonly onFault: (error: Error) => void;
  /** Questions at one time; more than these go without. */
  readonly maxInFlight?: number;
}

/** Has a thread of our own tokenise by the model's files. */
export class LocalRenderer implements Renderer {
  private readonly options: LocalRendererOptions;
  private readonly maxInFlight: number;
  private readonly breaker: Breaker;
  private thread: Thread | null = null;

  constructor(options: LocalRendererOptions) {
    this.options = options;
    this.maxInFlight = options.maxInFlight ?? 64;
    this.breaker = new Breaker(options.clock, options.random);
    this.thread = this.start();
  }

  ask({ body, background }: Question): Promise<Outcome> {
    const limit = background ? this.maxInFlight / 4 : this.maxInFlight;
    if ((this.thread?.waiting ?? 0) >= limit) return Promise.resolve('too_many');
    const ticket = this.breaker.admit();
    if (ticket === null) return Promise.resolve('breaker_open');
    this.thread ??= this.start();
    return this.thread.ask(JSON.stringify(body)).then((outcome) => {
      if (outcome === 'unreachable' || outcome === 'timeout') this.breaker.failed(ticket);
      else this.breaker.succeeded(ticket);
      return outcome;
    });
  }

  async close(): Promise<void> {
    const { thread } = this;
    this.thread = null;
    await thread?.end('unreachable');
  }

  private start(): Thread {
    const { folder, clock, onFault } = this.options;
    return new Thread(folder, clock, (fault) => {
      this.thread = null;
      onFault(fault);
    });
  }
}

/** One worker thread and the questions that wait for it, in the order in which it answers. */
class Thread {
  private readonly worker: Worker;
  private readonly clock: Clock;
  private readonly onEnd: (fault: Error) => void;
  private readonly questions = new Map<number, (outcome: Outcome) => void>();
  private next = 0;
  private ended = false;
  private cancel: (() => void) | null = null;

  constructor(folder: string, clock: Clock, onEnd: (fault: Error) => void) {
    this.clock = clock;
    this.onEnd = onEnd;
    // Built code has another extension; the thread's file lies beside this one either way.
    const file = new URL(`./local-worker${extname(import.meta.filename)}`, import.meta.url);
    this.worker = new Worker(file, { workerData: { folder }, resourceLimits: { maxOldGenerationSizeMb: heapLimit } });
    this.worker.unref();
    this.worker.on('message', (message: unknown) => this.answered(message));
    this.worker.on('error', (fault: Error) => this.fail(fault));
    this.worker.on('exit', (code) => this.fail(new Error(`the tokenizer's thread has ended (exit code ${code})`)));
  }

  get waiting(): number {
    return this.questions.size;
  }

  ask(body: string): Promise<Outcome> {
    return new Promise((resolve) => {
      const id = this.next++;
      this.questions.set(id, resolve);
      this.cancel ??= this.watch();
      this.worker.postMessage({ id, body });
    });
  }

  /** Ends the thread; what waits is told `reason`. */
  async end(reason: Outcome): Promise<void> {
    this.ended = true;
    this.cancel?.();
    this.cancel = null;
    for (const resolve of this.questions.values()) resolve(reason);
    this.questions.clear();
    await this.worker.terminate();
  }

  private answered(message: unknown): void {
    this.cancel?.();
    this.cancel = null;
    if (isRecord(message) && typeof message.id === 'number') {
      this.questions.get(message.id)?.(message.ids instanceof Uint32Array ? message.ids : 'refused');
      this.questions.delete(message.id);
    }
    if (this.questions.size > 0) this.cancel = this.watch();
  }

  private watch(): () => void {
    return this.clock.after(patience, () => {
      this.fail(new Error(`the tokenizer's thread has not answered for ${patience / 1000} s`), 'timeout');
    });
  }

  private fail(fault: Error, reason: Outcome = 'unreachable'): void {
    if (this.ended) return;
    this.onEnd(fault);
    void this.end(reason);
  }
}
