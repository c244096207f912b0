import type { Clock } from '../router/clock.ts';
import type { HttpProbe, ProbeFault, ProbeRequest, ProbeResult } from './probe.ts';
import type { GroupTarget } from './targets.ts';

/** Time as it is, for tests with real sockets. */
export const realClock: Clock = Object.freeze({
  now: () => performance.now() + 1,
  after: (milliseconds: number, callback: () => void) => {
    const timer = setTimeout(callback, milliseconds);
    timer.unref();
    return () => clearTimeout(timer);
  },
});

/** What a fake engine answers on a path: a body, a fault, or nothing until the time-out. */
export type FakeAnswer = { readonly body: string } | { readonly fault: ProbeFault } | 'hangs';

export const idleMetrics = 'vllm:num_requests_waiting 0\nvllm:num_requests_running 0\nvllm:kv_cache_usage_perc 0\n';

export const refused: FakeAnswer = { fault: 'refused' };
export const wellModels: FakeAnswer = { body: '{"data":[{"id":"m"}]}' };

/** Engines that answer from tables, on a fake clock, 1 ms after they are asked. */
export class FakeProbe implements HttpProbe {
  private readonly clock: Clock;
  private readonly answers = new Map<string, FakeAnswer>();
  readonly requests: { readonly url: string; readonly at: number; readonly authorization: string | null }[] = [];
  closed = false;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Sets what an address answers on a path; by default all are well. */
  set(address: string, path: string, answer: FakeAnswer): void {
    this.answers.set(`${address}${path}`, answer);
  }

  /** The same answer on every path. */
  setAll(address: string, answer: FakeAnswer): void {
    for (const path of ['/health', '/metrics', '/v1/models']) this.set(address, path, answer);
  }

  /** An engine that is well again on every path. */
  revive(address: string): void {
    for (const path of ['/health', '/metrics', '/v1/models']) this.answers.delete(`${address}${path}`);
  }

  /** How many requests have gone there, on every address where none is named. */
  count(path: string, address = ''): number {
    return this.requests.filter(({ url }) => url.endsWith(`${address}${path}`)).length;
  }

  get(request: ProbeRequest, done: (result: ProbeResult) => void): void {
    const url = `${request.access.origin}${request.path}`;
    this.requests.push({ url, at: this.clock.now(), authorization: request.access.authorization });
    const answer = this.answers.get(url.replace(/^https?:\/\//, '')) ?? defaults[request.path] ?? { fault: 'status' };
    const delay = answer === 'hangs' ? request.timeout : 1;
    this.clock.after(delay, () => done(resultOf(answer)));
  }

  close(): void {
    this.closed = true;
  }
}

const defaults: Readonly<Record<string, FakeAnswer | undefined>> = {
  '/health': { body: '' },
  '/metrics': { body: idleMetrics },
  '/v1/models': wellModels,
};

function resultOf(answer: FakeAnswer): ProbeResult {
  if (answer === 'hangs') return { ok: false, fault: 'timeout', message: 'no answer' };
  if ('fault' in answer) return { ok: false, fault: answer.fault, message: answer.fault };
  return { ok: true, body: Buffer.from(answer.body) };
}

/** A group with the defaults of the BackendGroup resource, and endpoints named e1, e2 … at 10.0.0.1:8000 and on. */
export function groupOf(size: number, changes: Partial<GroupTarget> = {}): GroupTarget {
  return {
    key: 'ns/g',
    namespace: 'ns',
    name: 'g',
    engine: 'vLLM',
    endpoints: Array.from({ length: size }, (_unused, i) => ({
      name: `e${i + 1}`,
      address: addressOf(i + 1),
      labels: {},
      ports: {},
    })),
    scheme: 'http',
    learnModels: true,
    metrics: { interval: 1_000, timeout: 1_000, path: '/metrics', staleAfter: 10_000 },
    health: {
      path: '/health',
      interval: 2_000,
      timeout: 1_000,
      failures: 3,
      successes: 1,
      passive: { consecutiveFailures: 5, ejectFor: 10_000, maxEjectedPercent: 50 },
    },
    ...changes,
  };
}

/** Address of the n-th endpoint of `groupOf`. */
export function addressOf(n: number): string {
  return `10.0.0.${n}:8000`;
}
