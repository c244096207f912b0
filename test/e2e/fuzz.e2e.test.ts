import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sendObject, type Script } from './testkit/engine.ts';
import { inspectable, liveHeap } from './testkit/heap.ts';
import { Load } from './testkit/load.ts';
import { group, policy } from './testkit/manifests.ts';
import { Chance, mutateBody, mutateMessage } from './testkit/mutations.ts';
import { RawConnection, statusesIn } from './testkit/raw.ts';
import { idle, type RunningRouter } from './testkit/router.ts';
import { World } from './testkit/world.ts';

const mutants = 10_000;
/** Another seed makes other mutants. */
const seed = Number(process.env.HERMES_FUZZ_SEED ?? 20261121);
/** Bytes; a leak of 150 of them per mutant shows. */
const flat = 1_500_000;
const chat = '/v1/chat/completions';

let world: World;
let router: RunningRouter;
let load: Load;
/** What engines should never have been sent. */
const surprises: string[] = [];

/** As strict as an engine, and sure of which model it is. */
const strict =
  (model: string): Script =>
  ({ method, url, headers, body }, response) => {
    if (method !== 'POST' || !/^\/v1\/chat\/completions(\?|$)/.test(url)) surprises.push(`${method} ${url}`);
    if (Object.keys(headers).some((name) => name.startsWith('x-openfuyao'))) surprises.push(JSON.stringify(headers));
    const parsed = parse(body);
    if (parsed === null || !Array.isArray(parsed.messages)) sendObject(response, { error: { code: 400 } }, 400);
    else sendObject(response, { model: parsed.model, usage: { prompt_tokens: 1, completion_tokens: 1 } });
    if (parsed !== null && parsed.model !== model) surprises.push(`model ${JSON.stringify(parsed.model)} at ${model}`);
  };

beforeAll(async () => {
  world = new World();
  const [plain] = await world.script(1, 'm', strict('m'));
  const [renamed] = await world.script(1, 'engine-model', strict('engine-model'));
  const documents = [
    group('m', [plain.address]),
    policy('m'),
    group('engine-model', [renamed.address]),
    policy('asked', { backendRefs: [{ name: 'engine-model', rewriteModel: 'engine-model' }] }),
  ];
  router = await world.serve(documents, { env: inspectable });
  // Code is compiled and tables are filled by the first thousand.
  load = others();
  for (const send of [sendBodies, sendMessages]) expect(await send(1000, seed - 1)).toEqual([]);
  await load.stop();
});

/** Clients that want nothing unusual, and whose answers tell that what was sent before them is dealt with. */
const others = (): Load =>
  new Load(2, async () => {
    const { status, text } = await world.client.chat('m');
    return status === 200 ? null : `${status} ${text}`;
  });

afterAll(() => world.close());

beforeEach(() => {
  surprises.length = 0;
});

describe.each([
  ['bodies', sendBodies],
  ['wire messages', sendMessages],
] as const)('10,000 mutated %s', (_name, send) => {
  it(`hurt nobody (seed ${seed})`, async () => {
    await idle(router);
    const before = await liveHeap(router);
    load = others();
    const faults = await send(mutants, seed);
    await load.stop();
    expect(faults).toEqual([]);
    expect(load.failures).toEqual([]);
    expect(surprises).toEqual([]);
    await idle(router);
    expect((await liveHeap(router)) - before).toBeLessThan(flat);
    expect(router.process.running).toBe(true);
    expect(router.process.entries().filter(({ level }) => level === 'error')).toEqual([]);
  }, 120_000);
});

/** Sends mutated bodies and returns the ones that were answered by anything but 2xx and 4xx. */
async function sendBodies(count: number, from: number): Promise<string[]> {
  const faults: string[] = [];
  const statuses = new Map<number, number>();
  await inParallel(24, count, from, async (chance) => {
    const body = mutateBody(chance);
    const { status } = await world.client.post(chat, body);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    if (!isFine(status)) faults.push(`${status} ${body.toString('latin1')}`);
  });
  // Mutants that are all refused, or all accepted, try little.
  expect(statuses.get(200)).toBeGreaterThan(count / 20);
  expect(statuses.get(400)).toBeGreaterThan(count / 20);
  return faults;
}

/** Sends mutated messages and returns those that were answered by anything but 2xx, 4xx or the connection's end. */
async function sendMessages(count: number, from: number): Promise<string[]> {
  const faults: string[] = [];
  let served = 0;
  await inParallel(240, count, from, async (chance) => {
    const message = mutateMessage(chance);
    const received = await converse(message);
    const statuses = received === null ? [] : statusesIn(received);
    if (received === null || !statuses.every((status) => status === 100 || isFine(status)))
      faults.push(`${received ?? 'left open'} after ${message.toString('latin1')}`);
    if (statuses.includes(200)) served += 1;
  });
  expect(served).toBeGreaterThan(count / 20);
  return faults;
}

/**
 * Answers to others after which a client that has said all says so: by then it has its own, on however busy a machine.
 * Milliseconds would be too few on one and too many on another.
 */
const patience = 24;

/** All that comes back, or null where the router does not close the connection when its client has done so. */
function converse(message: Buffer): Promise<string | null> {
  const connection = new RawConnection(router.proxy);
  const before = load.done;
  connection.write(message);
  return new Promise((resolve) => {
    const end = setInterval(() => {
      if (load.done - before < patience) return;
      clearInterval(end);
      connection.socket.end();
    }, 20);
    const stuck = setTimeout(() => {
      resolve(null);
      connection.destroy();
    }, 30_000);
    connection.socket.on('close', () => {
      clearInterval(end);
      clearTimeout(stuck);
      resolve(connection.received);
    });
  });
}

/** Runs `work` `count` times, each with chance of its own, so that a mutant does not depend on the others' order. */
async function inParallel(
  lanes: number,
  count: number,
  from: number,
  work: (chance: Chance) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await work(new Chance(from * 100_003 + next));
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

function isFine(status: number): boolean {
  return (status >= 200 && status < 300) || (status >= 400 && status < 500);
}

function parse(body: string): { model?: unknown; messages?: unknown } | null {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? value : null;
  } catch {
    return null;
  }
}
