import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ApproximateIndex } from '../../src/indexer/approximate.ts';
import { buildProfile } from '../../src/policies/build.ts';
import { ScoreBook } from '../../src/observability/score-book.ts';
import { registry } from '../../src/policies/index.ts';
import type { ProfileSpec } from '../../src/policies/definition.ts';
import { noAdapterReports } from '../../src/router/adapters.ts';
import type { Endpoint } from '../../src/router/endpoint.ts';
import type { Explanation } from '../../src/router/explanation.ts';
import { nothingForeknown } from '../../src/router/foreknowledge.ts';
import type { RoutingPolicy } from '../../src/router/policy.ts';
import { Prompt } from '../../src/router/prompt.ts';
import type { InferenceRequest } from '../../src/router/request.ts';
import { Router } from '../../src/router/router.ts';
import { EndpointStates } from '../../src/router/states.ts';
import { seeded } from '../../src/sim/random.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: unknown = runInNewContext('gc');
if (typeof collectGarbage !== 'function') throw new Error('this Node does not expose its garbage collector');

const clock = { now: (): number => performance.now() };
const rounds = 11;
const byteDecisions = 4000;

const profiles: Readonly<Record<string, ProfileSpec>> = {
  'four scorers': {
    scorers: [
      { type: 'prefix-cache-scorer', weight: 3 },
      { type: 'queue-scorer', weight: 2 },
      { type: 'kv-cache-utilization-scorer', weight: 2 },
      { type: 'scorer-session-affinity', weight: 1 },
    ],
    picker: { type: 'picker-min-random' },
  },
  Auto: { scorers: [{ type: 'scorer-auto' }], picker: { type: 'picker-min-random' } },
};

const pairFilter = { filters: [{ type: 'filter-by-pd-label' }] };

/** Of fleets of groups. */
const pairProfiles: Readonly<Record<string, ProfileSpec>> = {
  'pair, KV-aware': { ...pairFilter, scorers: [{ type: 'scorer-pd-kv-cache-aware' }] },
  'pair, bucket': { ...pairFilter, scorers: [{ type: 'scorer-pd-bucket' }] },
};

/** The members of each group of such a fleet. */
const roles = ['prefill', 'prefill', 'decode', 'decode', 'leader'];

/** A fleet under uneven load, the router before it and its index. */
interface Bench {
  readonly router: Router;
  readonly policy: RoutingPolicy;
  readonly index: ApproximateIndex;
  readonly endpoints: readonly Endpoint[];
  readonly book: ScoreBook<Explanation>;
}

function fleet(count: number, spec: ProfileSpec): Bench {
  const random = seeded(42);
  const states = new EndpointStates(count);
  const index = new ApproximateIndex();
  const endpoints = Array.from({ length: count }, (_, slot): Endpoint => {
    states.reset(slot);
    states.scrapeStarts(slot);
    states.scrapeSucceeds(slot, { waiting: Math.floor(random() * 8), running: 4, usage: random() }, 1);
    states.inFlight[slot] = Math.floor(random() * 16);
    return Object.freeze({
      id: `bench/group/e${slot}`,
      slot,
      name: `e${slot}`,
      address: `10.0.${slot >> 8}.${slot & 255}:8000`,
      group: 'bench/group',
      labels: {
        'openfuyao.com/pdRole': roles[slot % roles.length],
        'openfuyao.com/pdGroupID': String(Math.floor(slot / roles.length)),
        'openfuyao.com/tpSize': String(2 ** (Math.floor(slot / roles.length) % 4)),
      },
    });
  });
  const group = {
    key: 'bench/group',
    namespace: 'bench',
    name: 'group',
    models: ['m'],
    modelsDeclared: true,
    endpoints,
    prefixSource: index,
    connection: { scheme: 'http' as const, forwardAuthorization: false },
  };
  const policy: RoutingPolicy = {
    key: 'bench/policy',
    namespace: 'bench',
    name: 'policy',
    created: 0,
    match: { models: ['m'], headers: [] },
    backends: [{ group, weight: 1, rewriteModel: null }],
    profile: buildProfile(spec, registry, { states, adapters: noAdapterReports, random, clock }),
    timeouts: { connect: 0, firstByte: 0, streamIdle: 0, nonStreaming: 0, request: 0 },
    retries: { attempts: 2, on: [], budget: { percent: 20, minPerSecond: 10 } },
    debugHeaders: false,
  };
  // As in `serve`, every decision is counted. Its clock is read but goes slowly: an explanation, due every 200 ms,
  // would fall into some rounds and not into others. It has rows of its own.
  const book = new ScoreBook<Explanation>({ now: () => 1 + performance.now() / 1e6, wallTime: () => 0 });
  return { router: new Router({ states, random, observer: book }), policy, index, endpoints, book };
}

/** Prompts of `tokens` tokens whose first nine tenths are shared: many users of one long document. */
function texts(tokens: number, count: number): Uint8Array[] {
  const random = seeded(7);
  const word = (): number => 97 + Math.floor(random() * 26);
  const shared = Uint8Array.from({ length: Math.floor(tokens * 3.6) }, word);
  return Array.from({ length: count }, () => {
    const text = Uint8Array.from({ length: tokens * 4 }, word);
    text.set(shared);
    return text;
  });
}

function begin(prompt: Prompt, text: Uint8Array): void {
  prompt.begin('m');
  prompt.reserve(text.length).set(text, prompt.end);
  prompt.wrote(text.length);
}

function requestOf(prompt: Prompt): InferenceRequest {
  const headers = { get: (name: string): string | undefined => (name === 'x-session-id' ? 'session-4711' : undefined) };
  return { model: 'm', headers, user: '', prompt, known: nothingForeknown };
}

function decideAndRelease({ router, policy }: Bench, request: InferenceRequest): void {
  const decision = router.decide(policy, request);
  if (decision === null) throw new Error('no endpoint was found');
  decision.reservation.release();
}

/** Microseconds a call: the median of the rounds, and the best one, which other processes have disturbed least. */
interface Time {
  readonly median: number;
  readonly best: number;
}

function time(calls: number, call: (i: number) => void): Time {
  const found: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < calls; i++) call(i);
    found.push(Number(process.hrtime.bigint() - start) / calls / 1000);
  }
  return { median: median(found), best: Math.min(...found) };
}

/** Median over the rounds of heap bytes a call; a round is short enough to end before the collector has to run. */
function heapBytes(calls: number, call: (i: number) => void): number {
  const found: number[] = [];
  for (let round = 0; round < rounds; round++) {
    (collectGarbage as () => void)();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < calls; i++) call(i);
    found.push((process.memoryUsage().heapUsed - before) / calls);
  }
  return median(found);
}

function median(numbers: number[]): number {
  return numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

interface Row {
  readonly what: string;
  readonly endpoints: number;
  readonly us: Time;
  readonly bytes: number;
}

/** The decision alone: the prompt's keys are made, a quarter of the endpoints hold its prefix. */
function decisions(name: string, count: number, spec: ProfileSpec): Row {
  const bench = fleet(count, spec);
  const prompt = new Prompt();
  begin(prompt, texts(200, 1)[0]);
  const request = requestOf(prompt);
  for (const { slot } of bench.endpoints) if (slot % 4 === 0) bench.index.routed(request, slot);
  // Requests that do not end: every engine of a pair keeps a charge, which shrinks while the benchmark runs.
  for (let i = 0; spec.filters === pairFilter.filters && i < 4 * count; i++) bench.router.decide(bench.policy, request);
  const call = (): void => decideAndRelease(bench, request);
  for (let i = 0; i < 20_000; i++) call();
  const us = time(Math.ceil(1_000_000 / count), call);
  return {
    what: `decision, ${name}`,
    endpoints: count,
    us,
    bytes: Math.round(heapBytes(byteDecisions, call)),
  };
}

/** What one decision in 200 ms costs besides: its explanation, written into the book. */
function explanations(name: string, count: number): Row {
  const bench = fleet(count, profiles[name]);
  const prompt = new Prompt();
  begin(prompt, texts(200, 1)[0]);
  const request = requestOf(prompt);
  const call = (): void => {
    const explanation = bench.router.explain(bench.policy, request);
    if (explanation === null) throw new Error('the policy has no profile');
    bench.book.watches(bench.policy);
    bench.book.explained(explanation);
  };
  const calls = Math.ceil(10_000 / count);
  for (let i = 0; i < calls; i++) call();
  return {
    what: `explained decision, ${name}`,
    endpoints: count,
    us: time(calls, call),
    bytes: Math.round(heapBytes(Math.ceil(1000 / count), call)),
  };
}

/** All that a 10,000-token prompt costs: copied in, hashed, matched, decided, remembered. */
function longPrompts(name: string, count: number, held: boolean): Row {
  const bench = fleet(count, profiles[name]);
  const prompt = new Prompt();
  const request = requestOf(prompt);
  const pool = texts(10_000, 32);
  for (const { slot } of bench.endpoints) {
    if (!held) break;
    begin(prompt, pool[slot % pool.length]);
    bench.index.routed(request, slot);
  }
  const call = (i: number): void => {
    begin(prompt, pool[i % pool.length]);
    if (!held) {
      // The same bytes under another model's name: no key has been seen before, or not for a thousand requests.
      prompt.begin(`m${i % 997}`);
      prompt.wrote(pool[0].length);
    }
    decideAndRelease(bench, request);
  };
  for (let i = 0; i < 2000; i++) call(i);
  const us = time(500, call);
  const what = `10,000-token prompt, ${name}, held by ${held ? 'all' : 'none'}`;
  return { what, endpoints: count, us, bytes: Math.round(heapBytes(500, call)) };
}

function hashOnly(): Row {
  const prompt = new Prompt();
  const pool = texts(10_000, 32);
  const call = (i: number): void => {
    begin(prompt, pool[i % pool.length]);
    prompt.blocks();
  };
  for (let i = 0; i < 2000; i++) call(i);
  return {
    what: '10,000-token prompt, copy and hash alone',
    endpoints: 0,
    us: time(500, call),
    bytes: Math.round(heapBytes(500, call)),
  };
}

const rows: Row[] = [];
for (const [name, spec] of Object.entries({ ...profiles, ...pairProfiles }))
  for (const count of [5, 25, 100, 1000]) rows.push(decisions(name, count, spec));
for (const count of [5, 100, 1000]) rows.push(explanations('four scorers', count));
rows.push(hashOnly());
for (const name of Object.keys(profiles)) for (const held of [true, false]) rows.push(longPrompts(name, 100, held));
console.log('| what | endpoints | µs, median | µs, best | heap bytes |\n|---|---|---|---|---|');
for (const { what, endpoints, us, bytes } of rows) {
  console.log(`| ${what} | ${endpoints || ''} | ${us.median.toFixed(2)} | ${us.best.toFixed(2)} | ${bytes} |`);
}
