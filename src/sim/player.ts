import { Pool } from 'undici';
import { StreamReader, type Exchanged } from './stream-reader.ts';
import { mean, quantile } from './statistics.ts';
import type { Workload, WorkloadRequest } from './workloads.ts';

/** Where and how a workload is played. */
export interface PlayOptions {
  /** Of an OpenAI API, without path: `http://127.0.0.1:8000`. */
  readonly origin: string;
  readonly model: string;
  /** Requests in flight at most, for those without a time of their own. */
  readonly concurrency: number;
  /** Engine seconds in one second of wall time: results are in engine time. */
  readonly speedUp: number;
  readonly onProgress?: (done: number, total: number) => void;
}

/** What came of a run; seconds are engine time. */
export interface PlayResult {
  readonly requests: number;
  /** How often each kind of failure happened. */
  readonly failures: Readonly<Record<string, number>>;
  readonly firstToken: { readonly mean: number; readonly p50: number; readonly p90: number };
  readonly duration: { readonly mean: number; readonly p50: number; readonly p90: number };
  readonly seconds: number;
  readonly outputTokens: number;
  readonly tokensPerSecond: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  /** Cached share of all prompt tokens, as the engines counted it. */
  readonly hitRate: number;
}

/** Plays a workload to its end: streams, closed loop at a concurrency, or at the requests' own times. */
export async function play(workload: Workload, options: PlayOptions): Promise<PlayResult> {
  // undici's own time-outs would cut a run that is meant to wait; one connection a request in flight.
  const pool = new Pool(options.origin, { connections: null, headersTimeout: 0, bodyTimeout: 0 });
  try {
    return await new Run(workload, options, pool).finish();
  } finally {
    await pool.destroy();
  }
}

class Run {
  private readonly requests: readonly WorkloadRequest[];
  private readonly options: PlayOptions;
  private readonly pool: Pool;
  private readonly results: Exchanged[] = [];
  private readonly ended: Uint8Array;
  /** Requests that are to start as soon as the concurrency allows, in order. */
  private readonly queue: number[] = [];
  private readonly finished = Promise.withResolvers<void>();
  private inFlight = 0;

  constructor(workload: Workload, options: PlayOptions, pool: Pool) {
    this.requests = workload.requests;
    this.options = options;
    this.pool = pool;
    this.ended = new Uint8Array(this.requests.length);
  }

  async finish(): Promise<PlayResult> {
    const start = performance.now();
    this.requests.forEach(({ at }, index) => {
      if (at === null) this.queue.push(index);
      else
        setTimeout(
          () => {
            this.send(index);
          },
          (at / this.options.speedUp) * 1000,
        );
    });
    if (this.requests.length === 0) this.finished.resolve();
    this.fill();
    await this.finished.promise;
    return summary(this.results, ((performance.now() - start) / 1000) * this.options.speedUp, this.options.speedUp);
  }

  /** Starts what may start: the first in line whose predecessor has ended. */
  private fill(): void {
    for (let at = 0; at < this.queue.length && this.inFlight < this.options.concurrency;) {
      const { after } = this.requests[this.queue[at]];
      if (after >= 0 && this.ended[after] === 0) at += 1;
      else this.send(this.queue.splice(at, 1)[0]);
    }
  }

  private send(index: number): void {
    const { maxTokens, messages } = this.requests[index];
    const { model } = this.options;
    const body = JSON.stringify({
      model,
      messages: messages(),
      max_tokens: maxTokens,
      ignore_eos: true,
      stream: true,
      stream_options: { include_usage: true },
    });
    this.inFlight += 1;
    const reader = new StreamReader((result) => {
      this.onEnd(index, result);
    });
    const headers = { 'content-type': 'application/json' };
    this.pool.dispatch({ path: '/v1/chat/completions', method: 'POST', headers, body }, reader);
  }

  private onEnd(index: number, result: Exchanged): void {
    this.inFlight -= 1;
    this.ended[index] = 1;
    this.results.push(result);
    this.options.onProgress?.(this.results.length, this.requests.length);
    if (this.results.length === this.requests.length) this.finished.resolve();
    else this.fill();
  }
}

function summary(results: readonly Exchanged[], seconds: number, speedUp: number): PlayResult {
  const good = results.filter(({ failure }) => failure === null);
  const failures: Record<string, number> = {};
  for (const { failure } of results) if (failure !== null) failures[failure] = (failures[failure] ?? 0) + 1;
  const total = (of: (result: Exchanged) => number): number => good.reduce((sum, result) => sum + of(result), 0);
  const promptTokens = total((result) => result.promptTokens);
  const cachedTokens = total((result) => result.cachedTokens);
  const outputTokens = total((result) => result.outputTokens);
  const spread = (of: (result: Exchanged) => number) => {
    const values = good.map((result) => (of(result) / 1000) * speedUp);
    return { mean: mean(values), p50: quantile(values, 0.5), p90: quantile(values, 0.9) };
  };
  return {
    requests: results.length,
    failures,
    firstToken: spread((result) => result.firstTokenMilliseconds),
    duration: spread((result) => result.milliseconds),
    seconds,
    outputTokens,
    tokensPerSecond: outputTokens / seconds,
    promptTokens,
    cachedTokens,
    hitRate: promptTokens > 0 ? cachedTokens / promptTokens : 0,
  };
}
