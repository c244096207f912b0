import { fork, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cpuOf, loadCore, pinSelf, rssOf, stop } from '../proxy/processes.ts';
import { closedLoop, LoadConnection, openLoop, type CallKind } from './load.ts';
import { names, startPicker, type Name, type Picker } from './pickers.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    million: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
  },
});

const engineCount = 100;
const connectionCount = 2;
const each = 32;
const pace = 500;
const rounds = flags.quick ? 3 : 5;
const seconds = flags.quick ? 4 : 8;
const calls = flags.quick ? 20_000 : 50_000;
const million = 1_000_000;
const megabyte = 1_000_000;

/** One picker's figures, a number a round. */
interface Figures {
  /** CPU microseconds a call, so many always under way: the request alone, and with the engine's answer. */
  readonly saturated: number[];
  readonly exchange: number[];
  /** Calls a second in the first of them. */
  readonly throughput: number[];
  /** CPU microseconds a call at 500 a second, of which `idle` are spent without any call. */
  readonly paced: number[];
  readonly idle: number[];
  /** Median milliseconds from a call's begin to its end at 500 a second. */
  readonly latency: number[];
  rss: number;
}

const folder = mkdtempSync(join(tmpdir(), 'bench-epp-'));
const children: ChildProcess[] = [];
const picked: readonly Name[] = flags.only === '' ? names : names.filter((name) => name === flags.only);

function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[sorted.length >> 1];
}

async function cpuDuring({ child }: Picker, work: () => Promise<unknown>): Promise<number> {
  const pid = child.pid ?? 0;
  const before = cpuOf(pid);
  await work();
  return cpuOf(pid) - before;
}

function connect({ port }: Picker, kind: CallKind): Promise<LoadConnection[]> {
  return Promise.all(Array.from({ length: connectionCount }, () => LoadConnection.open(port, kind)));
}

async function saturate(picker: Picker, kind: CallKind, count: number): Promise<number> {
  const connections = await connect(picker, kind);
  await closedLoop(connections, each, count);
  for (const connection of connections) connection.close();
  return count;
}

async function round(picker: Picker, figures: Figures): Promise<void> {
  const start = performance.now();
  figures.saturated.push((await cpuDuring(picker, () => saturate(picker, 'request', calls))) / calls);
  figures.throughput.push((calls * 1000) / (performance.now() - start));
  figures.exchange.push((await cpuDuring(picker, () => saturate(picker, 'exchange', calls))) / calls);
  const connections = await connect(picker, 'request');
  figures.idle.push((await cpuDuring(picker, () => sleep(seconds * 1000))) / (pace * seconds));
  let took: number[] = [];
  const cpu = await cpuDuring(picker, async () => (took = await openLoop(connections, pace, seconds)));
  figures.paced.push(cpu / took.length);
  figures.latency.push(median(took));
  for (const connection of connections) connection.close();
}

async function measure(engines: readonly number[]): Promise<Map<Name, Figures>> {
  const figures = new Map<Name, Figures>();
  const pickers: Picker[] = [];
  for (const name of picked) {
    const picker = await startPicker(name, join(folder, 'manifests'), engines);
    children.push(picker.child);
    pickers.push(picker);
    figures.set(name, { saturated: [], exchange: [], throughput: [], paced: [], idle: [], latency: [], rss: 0 });
    await saturate(picker, 'exchange', calls);
  }
  for (let n = 0; n < rounds; n++) {
    progress(`round ${n + 1} of ${rounds}`);
    for (const picker of pickers) {
      const own = figures.get(picker.name);
      if (own !== undefined) await round(picker, own);
    }
  }
  for (const { name, child } of pickers) {
    const own = figures.get(name);
    if (own !== undefined) own.rss = rssOf(child.pid ?? 0);
    await stop(child);
  }
  return figures;
}

/** Memory after each of ten times 100,000 calls, the engine's answer included. */
async function measureMemory(engines: readonly number[]): Promise<number[]> {
  const picker = await startPicker('hermes-router', join(folder, 'manifests'), engines);
  children.push(picker.child);
  const samples: number[] = [];
  for (let made = 0; made < million; made += million / 10) {
    await saturate(picker, 'exchange', million / 10);
    samples.push(rssOf(picker.child.pid ?? 0));
    progress(`${made + million / 10} calls: ${(samples[samples.length - 1] / megabyte).toFixed(0)} MB`);
  }
  await stop(picker.child);
  return samples;
}

function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

function report(figures: Map<Name, Figures>): void {
  console.log(`
${cpus()[0].model}, ${cpus().length} cores, Linux ${release()}; Node ${process.versions.node}
4 KB chat request, ${engineCount} endpoints; picker on one core, engines and load on another; ${connectionCount} connections, ${connectionCount * each} calls under way; medians of ${rounds} rounds

| picker | µs/call, saturated | calls/s then | µs/call with the engine's answer, saturated | µs/call at ${pace}/s | of these without any call | p50 at ${pace}/s, ms | RSS, MB |
|---|---|---|---|---|---|---|---|`);
  for (const [name, own] of figures) {
    const cells = [
      name,
      median(own.saturated).toFixed(1),
      median(own.throughput).toFixed(0),
      median(own.exchange).toFixed(1),
      median(own.paced).toFixed(0),
      median(own.idle).toFixed(0),
      median(own.latency).toFixed(2),
      (own.rss / megabyte).toFixed(0),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}

async function main(): Promise<void> {
  if (spawnSync('taskset', ['--version']).error !== undefined)
    throw new Error('taskset is missing: apt-get install util-linux');
  pinSelf(loadCore);
  const engines = fork(fileURLToPath(new URL('./engines.ts', import.meta.url)), [String(engineCount)]);
  children.push(engines);
  const [ports] = (await once(engines, 'message')) as [number[]];
  if (!flags.million) report(await measure(ports));
  if (flags.million || !flags.quick) {
    const samples = await measureMemory(ports);
    const megabytes = samples.map((bytes) => (bytes / megabyte).toFixed(0));
    console.log(`\nhermes-router, RSS after each 100,000 of a million calls, MB: ${megabytes.join(' ')}`);
  }
}

try {
  await main();
} finally {
  await Promise.all(children.map(stop));
  rmSync(folder, { recursive: true, force: true });
}
