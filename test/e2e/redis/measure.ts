// What sharing costs, on a real Valkey: node test/e2e/redis/measure.ts
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { wallClock } from '../../../src/commands/wall-clock.ts';
import { connectRedis } from '../../../src/indexer/shared/connection.ts';
import { Teller } from '../../../src/indexer/shared/teller.ts';
import { Engines } from '../../../src/indexer/shared/engines.ts';
import { Sealer } from '../../../src/indexer/shared/seal.ts';
import { noCounts } from '../../../src/indexer/shared/counters.ts';
import { Prompt } from '../../../src/router/prompt.ts';
import { endpoint, request, write } from '../../fixtures/fleet.ts';
import { until } from '../testkit/until.ts';
import { closeReplicas, prefixKey, Replica, stream } from './replica.ts';
import { StoreServer, storePrograms } from './server.ts';

const engines = 32;
const server = await StoreServer.start(storePrograms()[0].path);
const target = { port: server.port };
const raw = await connectRedis({ host: '127.0.0.1', ...target }, wallClock);
const memory = async (): Promise<number> => Number(await raw.call(['MEMORY', 'USAGE', stream, 'SAMPLES', '0'], 5000));
const prompts = Array.from({ length: 64 }, (_, i) => prompt(`${i} `, 32_000));
const show = (what: string, value: number, unit: string): void =>
  console.log(`${what.padEnd(64)}${value.toFixed(value < 100 ? 2 : 0).padStart(10)} ${unit}`);

function prompt(head: string, bytes: number): Prompt {
  const made = new Prompt();
  write(made, head.padEnd(bytes, 'the quick brown fox '));
  made.blocks();
  return made;
}

hotPath();
await traffic();
await warming();
closeReplicas();
raw.close();
await server.dispose();

/** A 32 KB prompt, 250 blocks: what `routed` costs beyond the index, and a flush of 50 of them, 5 % of their blocks new. */
function hotPath(): void {
  const known = new Engines(() => 0);
  known.reconcile(Array.from({ length: engines }, (_, slot) => endpoint(slot)));
  const teller = new Teller({
    engines: known,
    sealer: new Sealer(prefixKey, stream),
    counters: noCounts(),
    epochAge: 1e9,
    now: () => 0,
    check: () => undefined,
  });
  const [routed, flush]: number[][] = [[], []];
  for (let round = 0; round < 2000; round++) {
    let start = performance.now();
    for (let i = 0; i < 50; i++) teller.routed(i % engines, prompts[i].keys, 250);
    routed.push(((performance.now() - start) / 50) * 1e6);
    for (const one of prompts) one.keys.fill(round * 977 + 1, 2 * 237);
    for (let more = true; more; flush.push(performance.now() - start)) {
      start = performance.now();
      more = teller.flush(8);
    }
    for (let entry = teller.queue.first; entry !== null; entry = teller.queue.first) teller.queue.remove(entry);
  }
  show('routed, beyond the index, a prompt of 250 blocks', median(routed), 'ns');
  show('flush of 8 such requests, 13 blocks of each new, median', median(flush), 'ms');
  show('  99th percentile', percentile(flush, 0.99), 'ms');
  show('  longest', percentile(flush, 1 - 1e-9), 'ms');
}

/** 1,000 requests a second for five seconds, of 250 blocks, 5 % of them new. */
async function traffic(): Promise<void> {
  const a = new Replica({ target, engines });
  const b = new Replica({ target, engines });
  await Promise.all([a.warm(), b.warm()]);
  const [cpu, start] = [process.cpuUsage(), performance.now()];
  let sent = 0;
  while (performance.now() - start < 5000) {
    for (; sent < performance.now() - start; sent++) {
      const one = prompts[sent % prompts.length];
      one.keys.fill(sent * 31 + 7, 2 * 237);
      a.store.routed(request({ prompt: one }), sent % engines);
    }
    await sleep(5);
  }
  await until('all has come', () => b.store.counters.received === a.store.counters.sent);
  const { counters } = a.store;
  const used = process.cpuUsage(cpu);
  show('requests', sent, '');
  show('XADD a second', counters.sent / 5, '');
  show('bytes to the store a second', counters.sentBytes / 5, '');
  show('bytes on the wire a block told', counters.sentBytes / counters.toldBlocks, '');
  show('bytes in the store a block told', (await memory()) / counters.toldBlocks, '');
  show('CPU of both replicas, index and requests made included', (used.user + used.system) / 5e4, '%');
  closeReplicas();
  await raw.call(['DEL', stream], 5000);
}

/** A fresh replica with an index of 64 MB, filled by an old one. */
async function warming(): Promise<void> {
  const a = new Replica({ target, engines });
  await a.warm();
  for (let i = 0; a.store.counters.toldBlocks < 2_300_000; i++) {
    const one = prompts[i % prompts.length];
    for (let key = 0; key < 500; key++) one.keys[key] = (Math.random() * 2 ** 32) >>> 0;
    a.store.routed(request({ prompt: one }), i % engines);
    if (i % 200 !== 199) continue;
    await sleep(60);
    await until('written', () => a.store.pendingBytes === 0);
  }
  await sleep(500);
  show('stream', (await memory()) / 1e6, 'MB');
  const delay = monitorEventLoopDelay({ resolution: 1 });
  a.close();
  await sleep(100);
  delay.enable();
  const [cpu, start] = [process.cpuUsage(), performance.now()];
  const b = new Replica({ target, engines });
  await until('b is warm', () => b.store.state.warm);
  delay.disable();
  const used = process.cpuUsage(cpu);
  show('blocks learnt by a fresh replica', b.store.counters.learnedBlocks, '');
  show('  held in its index', b.index.size, '');
  show('  bytes of its index', b.index.bytes / 1e6, 'MB');
  show('  until it was warm', performance.now() - start, 'ms');
  show('  CPU of it', (used.user + used.system) / 1000, 'ms');
  show('  longest pause of the event loop meanwhile', delay.max / 1e6, 'ms');
}

function median(values: number[]): number {
  return percentile(values, 0.5);
}

function percentile(values: number[], share: number): number {
  return values.sort((x, y) => x - y)[Math.floor(values.length * share)];
}
