import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { manifests, startHermes, type Contender } from '../proxy/contenders.ts';
import { openLoop } from '../proxy/load.ts';
import { startEngines } from '../proxy/nginx.ts';
import { answerBody, chatRequests } from '../proxy/payloads.ts';
import { cpuOf, freePorts, loadCore, pinSelf, rssOf, stop } from '../proxy/processes.ts';
import { saturate, writeScript } from '../proxy/wrk.ts';

const { values: flags } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });

const connections = 64;
const pace = 500;
const rounds = flags.quick ? 3 : 7;
const seconds = flags.quick ? 3 : 6;
const each = 4;

/** As a prefiller answers with NIXL: 300 tokens in 19 blocks. */
const prefillAnswer = JSON.stringify({
  ...(JSON.parse(answerBody) as object),
  kv_transfer_params: {
    do_remote_prefill: true,
    do_remote_decode: false,
    remote_block_ids: [Array.from({ length: 19 }, (_, i) => 4711 + i)],
    remote_engine_id: '7d6d823d-6fa4-4829-ad71-0f36c1f0c171',
    remote_request_id: 'chatcmpl-7d6d823d-6fa4-4829-ad71-0f36c1f0c171-0',
    remote_host: '10.0.0.1',
    remote_port: 5600,
    tp_size: 1,
  },
});

const folder = mkdtempSync(join(tmpdir(), 'bench-handover-'));
const children: ChildProcess[] = [];

/** Groups of one prefiller and one decoder each. */
function pairs(prefills: readonly number[], decodes: readonly number[], handover: string): string {
  const row = (role: string) => (port: number, i: number) =>
    `        - {name: ${role}-${i}, address: "127.0.0.1:${port}", labels: {openfuyao.com/pdRole: ${role}, openfuyao.com/pdGroupID: g${i}}}`;
  return `
apiVersion: hermes-router.io/v1alpha1
kind: BackendGroup
metadata: {name: pairs}
spec:
  topology: {type: PrefillDecode, prefillDecode: {handover: ${handover}}}
  discovery:
    type: Static
    static:
      endpoints:
${[...prefills.map(row('prefill')), ...decodes.map(row('decode'))].join('\n')}
---
apiVersion: hermes-router.io/v1alpha1
kind: RoutingPolicy
metadata: {name: pairs}
spec:
  strategy: {type: Auto}
  backendRefs: [{name: pairs}]
`;
}

interface Figures {
  readonly saturated: number[];
  readonly paced: number[];
  rss: number;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** CPU microseconds of a contender for each of what `work` counts. */
async function cpuEach({ child }: Contender, work: () => Promise<number>): Promise<number> {
  const pid = child.pid ?? 0;
  const before = cpuOf(pid);
  const count = await work();
  return (cpuOf(pid) - before) / count;
}

async function main(): Promise<void> {
  pinSelf(loadCore);
  const [prefills, decodes] = [await freePorts(each), await freePorts(each)];
  children.push(await startEngines(loadCore, join(folder, 'prefillers'), prefills, prefillAnswer));
  children.push(await startEngines(loadCore, join(folder, 'decoders'), decodes));
  const contenders = [
    await startHermes({
      command: 'serve',
      name: 'one engine',
      folder: join(folder, 'one'),
      text: manifests(decodes, 'Auto'),
    }),
    await startHermes({
      command: 'serve',
      name: 'hand-over in the router',
      folder: join(folder, 'router'),
      text: pairs(prefills, decodes, 'Router'),
    }),
    await startHermes({
      command: 'pd-proxy',
      name: 'leader',
      folder: join(folder, 'leader'),
      text: pairs(prefills, decodes, 'Leader'),
    }),
  ];
  children.push(...contenders.map(({ child }) => child));
  const script = writeScript(folder);
  const figures = contenders.map((): Figures => ({ saturated: [], paced: [], rss: 0 }));
  for (const { port } of contenders) await saturate(port, script, connections, flags.quick ? 3 : 8);
  for (let round = 0; round < rounds; round++) {
    process.stderr.write(`round ${round + 1} of ${rounds}\n`);
    for (const [i, contender] of contenders.entries()) {
      const { port } = contender;
      figures[i].saturated.push(await cpuEach(contender, () => saturate(port, script, connections, seconds)));
      figures[i].paced.push(
        await cpuEach(contender, async () => (await openLoop(port, chatRequests, pace, seconds)).length),
      );
    }
  }
  for (const [i, { child }] of contenders.entries()) figures[i].rss = rssOf(child.pid ?? 0);
  report(contenders, figures);
}

function report(contenders: readonly Contender[], figures: readonly Figures[]): void {
  const ratio = (of: (own: Figures) => number[], i: number): string => {
    // Each round has its own base: the machine's pace changes from one to the next.
    const ratios = of(figures[i]).map((value, round) => value / of(figures[0])[round]);
    return i === 0 ? '' : ` (${median(ratios).toFixed(2)}×)`;
  };
  console.log(`
${cpus()[0].model}, ${cpus().length} cores, Linux ${release()}; Node ${process.versions.node}
4 KB chat request, 1 KB JSON answers, ${each} groups of 1P1D; proxy on one core, engines and load on another; medians of ${rounds} rounds; in brackets: times one proxied request of the same round

| | µs/request, ${connections} connections busy | µs/request at ${pace}/s | RSS, MB |
|---|---|---|---|`);
  for (const [i, { name }] of contenders.entries()) {
    const { saturated, paced, rss } = figures[i];
    const cells = [
      name,
      median(saturated).toFixed(1) + ratio((own) => own.saturated, i),
      median(paced).toFixed(0) + ratio((own) => own.paced, i),
      (rss / 1_000_000).toFixed(0),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}

try {
  await main();
} finally {
  for (const child of children) await stop(child);
  rmSync(folder, { recursive: true, force: true });
}
