import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Child } from '../../src/sim/child.ts';
import { play, type PlayResult } from '../../src/sim/player.ts';
import { mean, quantile } from '../../src/sim/statistics.ts';
import { workloads } from '../../src/sim/workloads.ts';
import { contenders, manifests, type Contender, type FleetAddresses } from './manifests.ts';

// What each way of knowing the caches is worth; the README says how to read the table.
const { values: flags } = parseArgs({
  options: {
    seeds: { type: 'string', default: '3' },
    'speed-up': { type: 'string', default: '15' },
    scenario: { type: 'string', multiple: true },
    only: { type: 'string', multiple: true },
  },
});
const engineCount = 8;
const concurrency = 8;
const model = 'm';
const speedUp = Number(flags['speed-up']);
const mostLagPercent = 5;
/** Times that a run is played whose clock was late. */
const mostAttempts = 3;
const large = 524_288;
const small = 65_536;

interface Scenario {
  readonly name: string;
  readonly workload: string;
  readonly kvTokens: number;
}

const scenarios: readonly Scenario[] = [
  { name: 'shared-prompts', workload: 'shared-prompts', kvTokens: large },
  { name: 'conversations', workload: 'conversations', kvTokens: large },
  { name: 'trace', workload: 'trace', kvTokens: large },
  { name: 'shared-prompts-small', workload: 'shared-prompts', kvTokens: small },
  { name: 'conversations-small', workload: 'conversations', kvTokens: small },
];

/** Of one run: seconds of engine time, the rest as named. */
interface Figures {
  readonly hits: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly tokensPerSecond: number;
  /** Wall milliseconds from the client to the first token that passed outside of the engines. */
  readonly outside: number;
}

interface Played {
  readonly figures: Figures;
  /** How late the engines' tokens came out, as a share of the requests' time. */
  readonly lagPercent: number;
}

interface Run {
  readonly scenario: Scenario;
  readonly contender: Contender;
  readonly seed: number;
}

const fleetProgram = [process.execPath, fileURLToPath(new URL('fleet.ts', import.meta.url))];
const router = [process.execPath, fileURLToPath(new URL('../../src/main.ts', import.meta.url))];

/** Figures of a run whose simulated clock was in time. */
async function measure(run: Run): Promise<Figures> {
  for (let attempt = 1; ; attempt++) {
    const { figures, lagPercent } = await playOnce(run);
    const line = `${run.scenario.name} ${run.contender.name} seed ${run.seed}: TTFT ${figures.mean.toFixed(3)} s`;
    process.stderr.write(`${line}, the simulated clock ran ${lagPercent.toFixed(1)} % late\n`);
    if (lagPercent <= mostLagPercent) return figures;
    if (attempt === mostAttempts) throw new Error('the machine is too busy: end other programs or lower --speed-up');
  }
}

/** One workload on engines and a router of its own. */
async function playOnce({ scenario, contender, seed }: Run): Promise<Played> {
  const folder = await mkdtemp(join(tmpdir(), 'hermes-kv-awareness-'));
  const sizes = [`--engines=${engineCount}`, `--kv-tokens=${scenario.kvTokens}`];
  const engines = new Child('the engines', fleetProgram, [...sizes, `--model=${model}`, `--speed-up=${speedUp}`]);
  const children = [engines];
  try {
    const fleet = await addressesOf(engines);
    await writeFile(join(folder, 'all.yaml'), manifests(contender, fleet, model));
    const ports = ['--listen=127.0.0.1:0', '--admin=127.0.0.1:0', '--metrics=127.0.0.1:0'];
    const serve = new Child('the router', router, ['serve', `--manifests=${folder}`, ...ports]);
    children.push(serve);
    const [[metrics], [proxy]] = await Promise.all([serve.listening('metrics'), serve.listening('proxy')]);
    await serve.ready(`http://${metrics}/readyz`);
    await serve.ready(`http://${proxy}/v1/models`);
    if (contender.name === 'Events') await eventsArrive(metrics);
    const make = workloads.get(scenario.workload);
    if (make === undefined) throw new Error(`no workload is named ${scenario.workload}`);
    const result = await play(make(seed), { origin: `http://${proxy}`, model, concurrency, speedUp });
    await checkKnowledge(metrics);
    const tally = await tallyOf(fleet.oracle);
    return { figures: figuresOf(result, tally), lagPercent: (100 * tally.lagSeconds) / tally.requestSeconds };
  } finally {
    await Promise.all(children.map((child) => child.kill()));
    await rm(folder, { recursive: true, force: true });
  }
}

async function addressesOf(engines: Child): Promise<FleetAddresses> {
  const [oracle] = await engines.listening('oracle');
  const [addresses, events, replays] = await Promise.all(
    ['engine', 'events', 'replay'].map((name) => engines.listening(name, engineCount)),
  );
  return { engines: addresses, events, replays, oracle };
}

async function eventsArrive(metrics: string): Promise<void> {
  while ((await metric(metrics, 'hermes_kv_event_streams{phase="live"}')) < engineCount)
    await new Promise((resolve) => setTimeout(resolve, 20));
}

/** A contender that went without its knowledge has not been measured. */
async function checkKnowledge(metrics: string): Promise<void> {
  for (const name of ['hermes_tokenizer_misses_total', 'hermes_manager_failures_total']) {
    const count = await metric(metrics, name);
    if (count > 0) throw new Error(`${count} requests went without what the router should know: see ${name}`);
  }
}

/** Sum of the series whose names begin so. */
async function metric(metrics: string, series: string): Promise<number> {
  const text = await (await fetch(`http://${metrics}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith(series));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

interface Tally {
  readonly lagSeconds: number;
  readonly requestSeconds: number;
  readonly firstTokens: readonly number[];
}

async function tallyOf(oracle: string): Promise<Tally> {
  // What the fleet program says, word for word.
  return (await (await fetch(`http://${oracle}/tally`)).json()) as Tally;
}

function figuresOf(result: PlayResult, { firstTokens }: Tally): Figures {
  const failures = Object.keys(result.failures);
  if (failures.length > 0) throw new Error(`requests failed: ${failures.join(', ')}`);
  const inside = mean(firstTokens);
  return {
    hits: result.hitRate,
    mean: inside,
    p50: quantile(firstTokens, 0.5),
    p90: quantile(firstTokens, 0.9),
    tokensPerSecond: result.tokensPerSecond,
    outside: (1000 * (result.firstToken.mean - inside)) / speedUp,
  };
}

function lineOf(name: string, runs: readonly Figures[]): string {
  const median = (of: (figures: Figures) => number): number => quantile(runs.map(of), 0.5);
  const means = runs.map((run) => run.mean);
  const cells = [
    `${median(({ hits }) => 100 * hits).toFixed(1)} %`,
    `${quantile(means, 0.5).toFixed(3)} s`,
    `${Math.min(...means).toFixed(3)}–${Math.max(...means).toFixed(3)}`,
    ...[median((run) => run.p50), median((run) => run.p90)].map((time) => `${time.toFixed(3)} s`),
    median((run) => run.tokensPerSecond).toFixed(0),
    median((run) => run.outside).toFixed(1),
  ];
  return `| ${name} | ${cells.join(' | ')} |`;
}

const chosen = scenarios.filter(({ name }) => flags.scenario?.includes(name) ?? true);
const entered = contenders.filter(({ name }) => flags.only?.includes(name) ?? true);
for (const scenario of chosen) {
  process.stdout.write(`\n### ${scenario.workload}, ${scenario.kvTokens.toLocaleString('en')} KV tokens an engine\n\n`);
  process.stdout.write('| | hits | TTFT mean | over the seeds | p50 | p90 | tokens/s | outside, ms |\n');
  process.stdout.write('|---|---|---|---|---|---|---|---|\n');
  const runs = new Map<Contender, Figures[]>(entered.map((contender) => [contender, []]));
  // Seed by seed, so that a machine that changes its pace changes it for all.
  for (let seed = 1; seed <= Number(flags.seeds); seed++)
    for (const [contender, figures] of runs) figures.push(await measure({ scenario, contender, seed }));
  for (const [{ name }, figures] of runs) process.stdout.write(`${lineOf(name, figures)}\n`);
}
