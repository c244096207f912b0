import { fork, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startContender, names, type Contender, type Name } from './contenders.ts';
import { closedLoop, openLoop, readStreams } from './load.ts';
import { startEngines } from './nginx.ts';
import { chatRequests, streamRequests } from './payloads.ts';
import { cpuOf, freePorts, loadCore, pinSelf, rssOf, stop } from './processes.ts';
import { saturate, writeScript } from './wrk.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    million: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
  },
});

const connections = 64;
const pace = 1000;
const calm = 200;
const streams = 100;
const eventInterval = 10;
const eventsEach = flags.quick ? 200 : 500;
const rounds = flags.quick ? 3 : 5;
const seconds = flags.quick ? 3 : 6;
const engineCount = 8;
const million = 1_000_000;
const megabyte = 1_000_000;

/** One contender's figures, a number a round. */
interface Figures {
  /** CPU microseconds a request, 64 connections kept busy. */
  readonly saturated: number[];
  /** Requests a second then. */
  readonly throughput: number[];
  /** CPU microseconds a request at 1,000 requests a second. */
  readonly paced: number[];
  /** CPU microseconds an event. */
  readonly event: number[];
  /** Median latency at 200 requests a second, in milliseconds, less that of the engines asked directly. */
  readonly added: number[];
  /** Bytes of memory after the last round. */
  rss: number;
}

const folder = mkdtempSync(join(tmpdir(), 'bench-proxy-'));
const children: ChildProcess[] = [];
const picked: readonly Name[] = flags.only === '' ? names : names.filter((name) => name === flags.only);

function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[sorted.length >> 1];
}

/** CPU microseconds of a contender for each of what `work` counts. */
async function cpuEach({ child }: Contender, work: () => Promise<number>): Promise<number> {
  const pid = child.pid ?? 0;
  const before = cpuOf(pid);
  const count = await work();
  return (cpuOf(pid) - before) / count;
}

async function contendersBefore(engines: readonly number[]): Promise<Contender[]> {
  const started: Contender[] = [];
  for (const name of picked) {
    const contender = await startContender(name, folder, engines);
    children.push(contender.child);
    started.push(contender);
  }
  return started;
}

async function measureRequests(figures: Map<string, Figures>, engines: readonly number[]): Promise<void> {
  const script = writeScript(folder);
  const contenders = await contendersBefore(engines);
  for (const { port } of contenders) await saturate(port, script, connections, flags.quick ? 3 : 10);
  for (let round = 0; round < rounds; round++) {
    progress(`requests, round ${round + 1} of ${rounds}`);
    const direct = median(await openLoop(engines[round % engines.length], chatRequests, calm, seconds));
    for (const contender of contenders) {
      await requestRound(contender, script, direct, figuresOf(figures, contender.name));
    }
  }
  for (const { name, child } of contenders) figuresOf(figures, name).rss = rssOf(child.pid ?? 0);
  for (const { child } of contenders) await stop(child);
}

async function requestRound(contender: Contender, script: string, direct: number, figures: Figures): Promise<void> {
  const { port } = contender;
  let answers = 0;
  figures.saturated.push(
    await cpuEach(contender, async () => (answers = await saturate(port, script, connections, seconds))),
  );
  figures.throughput.push(answers / seconds);
  figures.paced.push(await cpuEach(contender, async () => (await openLoop(port, chatRequests, pace, seconds)).length));
  figures.added.push(median(await openLoop(port, chatRequests, calm, seconds)) - direct);
}

async function measureStreams(figures: Map<string, Figures>): Promise<void> {
  const engine = fork(new URL('./stream-engines.ts', import.meta.url), [String(eventsEach), String(eventInterval)], {
    stdio: 'inherit',
  });
  children.push(engine);
  const [ports] = (await once(engine, 'message')) as [number[]];
  const contenders = await contendersBefore(ports);
  for (const { port } of contenders) await readStreams(port, streamRequests, streams);
  for (let round = 0; round < rounds; round++) {
    progress(`streams, round ${round + 1} of ${rounds}`);
    for (const contender of contenders) {
      const cost = await cpuEach(contender, async () => {
        const events = await readStreams(contender.port, streamRequests, streams);
        if (events !== streams * eventsEach) throw new Error(`${contender.name} passed on ${events} events`);
        return events;
      });
      figuresOf(figures, contender.name).event.push(cost);
    }
  }
  for (const { child } of contenders) await stop(child);
  await stop(engine);
}

/** Memory after each of ten times 100,000 requests. */
async function measureMemory(engines: readonly number[]): Promise<number[]> {
  const router = await startContender('hermes-router', folder, engines);
  children.push(router.child);
  const samples: number[] = [];
  for (let sent = 0; sent < million; sent += million / 10) {
    await closedLoop(router.port, chatRequests, million / 10, connections);
    samples.push(rssOf(router.child.pid ?? 0));
    progress(`${sent + million / 10} requests: ${(samples[samples.length - 1] / megabyte).toFixed(0)} MB`);
  }
  await stop(router.child);
  return samples;
}

function figuresOf(figures: Map<string, Figures>, name: string): Figures {
  const known = figures.get(name);
  if (known !== undefined) return known;
  const made: Figures = { saturated: [], throughput: [], paced: [], event: [], added: [], rss: 0 };
  figures.set(name, made);
  return made;
}

function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

function version(command: string, flag: string): string {
  const { stdout, stderr } = spawnSync(command, [flag], { encoding: 'utf8' });
  return /\d+\.\d+(\.\d+)?/.exec(stdout + stderr)?.[0] ?? 'unknown';
}

function report(figures: Map<string, Figures>): void {
  const base = figures.get('nginx');
  const cell = (own: number[], nginx: number[] | undefined, digits: number): string => {
    const value = median(own);
    const ratio = nginx === undefined || nginx === own ? '' : ` (${(value / median(nginx)).toFixed(2)}×)`;
    return value.toFixed(digits) + ratio;
  };
  console.log(`
${cpus()[0].model}, ${cpus().length} cores, Linux ${release()}; Node ${process.versions.node}, nginx ${version('nginx', '-v')}, http-proxy 1.18.1
4 KB chat request, 1 KB JSON answer, ${engineCount} engines; proxy on one core, engines and load on another; medians of ${rounds} rounds; in brackets: times nginx

| proxy | µs/request, ${connections} connections busy | requests/s then | µs/request at ${pace}/s | µs/event, ${streams} streams of ${1000 / eventInterval}/s | added p50 at ${calm}/s, ms | RSS, MB |
|---|---|---|---|---|---|---|`);
  for (const [name, own] of figures) {
    const cells = [
      name,
      cell(own.saturated, base?.saturated, 1),
      median(own.throughput).toFixed(0),
      cell(own.paced, base?.paced, 0),
      cell(own.event, base?.event, 1),
      median(own.added).toFixed(2),
      (own.rss / megabyte).toFixed(0),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}

function checkPrograms(): void {
  for (const [command, flag] of [
    ['nginx', '-v'],
    ['wrk', '-v'],
    ['taskset', '--version'],
  ]) {
    const { error } = spawnSync(command, [flag]);
    if (error !== undefined) throw new Error(`${command} is missing: apt-get install nginx-light wrk util-linux`);
  }
}

async function main(): Promise<void> {
  checkPrograms();
  pinSelf(loadCore);
  const ports = await freePorts(engineCount);
  children.push(await startEngines(loadCore, join(folder, 'engines'), ports));
  if (!flags.million) {
    const figures = new Map<string, Figures>();
    await measureRequests(figures, ports);
    await measureStreams(figures);
    report(figures);
  }
  if (flags.million || !flags.quick) {
    const samples = await measureMemory(ports);
    console.log(
      `\nhermes-router, RSS after each 100,000 of a million requests, MB: ${samples.map((bytes) => (bytes / megabyte).toFixed(0)).join(' ')}`,
    );
  }
}

try {
  await main();
} finally {
  for (const child of children) await stop(child);
  rmSync(folder, { recursive: true, force: true });
}
