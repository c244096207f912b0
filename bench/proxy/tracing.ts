// What a request costs the router with traces and access log: `node bench/proxy/tracing.ts [--base FOLDER]`. Given the
// folder of another checkout, that one is held against this one with both off; `--off` measures nothing else.
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { manifests, startHermes, type Contender } from './contenders.ts';
import { openLoop } from './load.ts';
import { startEngines } from './nginx.ts';
import { chatRequests } from './payloads.ts';
import { cpuOf, freePorts, loadCore, pinSelf, rssOf, stop } from './processes.ts';
import { saturate, writeScript } from './wrk.ts';

const { values: flags } = parseArgs({
  options: {
    base: { type: 'string', default: '' },
    off: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '5' },
  },
});
const seconds = 2;
const pace = 1000;
const rounds = Number(flags.rounds);
const folder = mkdtempSync(join(tmpdir(), 'bench-tracing-'));
const children: ChildProcess[] = [];

/** Takes spans as fast as they come and throws them away. */
async function startSink(): Promise<string> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.setHeader('content-type', 'application/json').end('{}'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the sink listens on no port');
  return `http://127.0.0.1:${address.port}`;
}

async function start(): Promise<Contender[]> {
  const engines = await freePorts(8);
  children.push(await startEngines(loadCore, join(folder, 'engines'), engines));
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: await startSink() };
  const share = (ratio: string) => ({
    env: { ...endpoint, OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: ratio },
  });
  const ways = {
    ...(flags.base === '' ? {} : { 'the other checkout': { root: flags.base } }),
    'both off': {},
    'access log': { flags: ['--access-log'] },
    'traces of 1 %': share('0.01'),
    'traces of 100 %': share('1'),
  };
  const contenders: Contender[] = [];
  for (const [name, way] of Object.entries(ways).slice(0, flags.off ? 2 : undefined)) {
    const text = manifests(engines, 'Auto');
    contenders.push(await startHermes({ command: 'serve', name, folder: join(folder, name), text, ...way }));
    children.push(contenders[contenders.length - 1].child);
  }
  return contenders;
}

/** CPU microseconds for each of what `work` counts. */
async function each(child: ChildProcess, work: () => Promise<number>): Promise<number> {
  const before = cpuOf(child.pid ?? 0);
  const count = await work();
  return (cpuOf(child.pid ?? 0) - before) / count;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1];
const spread = (values: readonly number[]): string =>
  `${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)}`;

async function main(): Promise<void> {
  pinSelf(loadCore);
  const script = writeScript(folder);
  const contenders = await start();
  for (const { port } of contenders) await saturate(port, script, 64, seconds);
  const figures = contenders.map(() => ({ busy: [] as number[], paced: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    // Those who come first find the machine as the last have left it: the order turns.
    const turn = round % 2 === 0 ? [...contenders.keys()] : [...contenders.keys()].reverse();
    for (const i of turn) {
      const { child, port } = contenders[i];
      figures[i].busy.push(await each(child, () => saturate(port, script, 64, seconds)));
      figures[i].paced.push(await each(child, async () => (await openLoop(port, chatRequests, pace, seconds)).length));
    }
  }
  console.log(`| | µs/request, 64 connections busy | µs/request at ${pace}/s | RSS, MB |\n|---|---|---|---|`);
  for (const [i, { name, child }] of contenders.entries()) {
    const { busy, paced } = figures[i];
    const cells = [busy, paced].map((values) => `${median(values).toFixed(1)} (${spread(values)})`);
    console.log(`| ${name} | ${cells.join(' | ')} | ${(rssOf(child.pid ?? 0) / 1e6).toFixed(0)} |`);
  }
}

try {
  await main();
} finally {
  for (const child of children) await stop(child);
  rmSync(folder, { recursive: true, force: true });
}
