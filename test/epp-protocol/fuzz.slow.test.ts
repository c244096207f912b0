import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pickerIdle } from '../e2e/envoy/picker.ts';
import { inspectable, liveHeap } from '../e2e/testkit/heap.ts';
import { Load } from '../e2e/testkit/load.ts';
import { Chance } from '../e2e/testkit/mutations.ts';
import { RawConnection } from '../e2e/testkit/raw.ts';
import { until } from '../e2e/testkit/until.ts';
import { Conversation } from './conversation.ts';
import { Connection } from './grpc.ts';
import { readAnswer } from './messages.ts';
import { mutateCall, mutateConnection } from './mutations.ts';
import { connectTo, openTarget, ours, type Target } from './target.ts';

/** Mutated messages, and connections with broken frames. */
const messages = Number(process.env.HERMES_FUZZ_RUNS ?? 100_000);
const connections = messages / 10;
/** Another seed makes other mutants. */
const seed = Number(process.env.HERMES_FUZZ_SEED ?? 20261121);
/** Bytes; a leak of 30 of them per message shows. */
const flat = 3_000_000;

let target: Target;
let shared: Connection;
beforeAll(async () => {
  // Nobody else's picker is sent rubbish.
  if (!ours) return;
  target = await openTarget({ env: inspectable, flags: ['--deadline', '2s'] });
  shared = await connectTo(target);
  // Code is compiled and tables are filled by the first thousands.
  await sendCalls(5000, seed - 1);
  await sendConnections(500, seed - 1);
});
afterAll(async () => {
  if (!ours) return;
  await shared.close();
  await target.stop();
});

const chat = '{"model":"m","messages":[{"role":"user","content":"Say something."}]}';

/** Well-behaved calls on a connection of their own and on the one that mutants share. */
function goodCalls(own: Connection): Load {
  return new Load(2, async (turn) => {
    const conversation = new Conversation(turn % 2 === 0 ? own : shared).headers().body(chat);
    const { body } = await conversation.picked();
    if (body.toString() !== chat) return `another body: ${body.toString()}`;
    const { code, message } = await conversation.finish();
    return code === 0 ? null : `status ${code} ${message}`;
  });
}

describe.runIf(ours).each([
  [`${messages} mutated messages`, () => sendCalls(messages, seed)],
  [`${connections} connections with broken frames`, () => sendConnections(connections, seed)],
])('%s', (_name, send) => {
  it(`hurt nobody (seed ${seed})`, { timeout: 600_000 }, async () => {
    const { own } = target;
    if (own === null) throw new Error('only our own process can be looked into');
    await pickerIdle(own);
    const before = await liveHeap(own);
    const control = await Connection.open(target.address);
    const load = goodCalls(control);
    expect(await send()).toEqual([]);
    await load.stop();
    await control.close();
    expect(load.failures).toEqual([]);
    expect(load.done).toBeGreaterThan(50);
    await pickerIdle(own);
    expect((await liveHeap(own)) - before).toBeLessThan(flat);
    expect(own.process.running).toBe(true);
    expect(own.process.entries().filter(({ level }) => level === 'error')).toEqual([]);
  });
});

/** Runs `work` in lanes, each time with chance of its own, until it has said that `count` is reached. */
async function inParallel(lanes: number, count: number, from: number, work: (chance: Chance) => Promise<number>) {
  let done = 0;
  let turn = 0;
  const lane = async (): Promise<void> => {
    while (done < count) {
      turn += 1;
      // Read after the wait: other lanes count meanwhile.
      const more = await work(new Chance(from * 100_003 + turn));
      done += more;
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** Sends calls with mutated messages on the shared connection; resolves to those that were not ended or answered well. */
async function sendCalls(count: number, from: number): Promise<string[]> {
  const faults: string[] = [];
  const ends = new Map<number, number>();
  await inParallel(64, count, from, async (chance) => {
    const mutant = mutateCall(chance);
    const { call } = new Conversation(shared);
    for (const message of mutant.messages) call.send(message);
    if (chance.below(8) === 0) call.reset();
    else call.halfClose();
    const { code } = await call.status;
    ends.set(code, (ends.get(code) ?? 0) + 1);
    for (const bytes of call.messages) {
      const { kind, immediate } = readAnswer(bytes);
      if (kind === '' || immediate?.status === 500) faults.push(JSON.stringify(readAnswer(bytes)));
    }
    return mutant.count;
  });
  if (shared.session.destroyed) faults.push('the connection that they share was closed');
  // INTERNAL would mean that something was thrown.
  if (ends.has(13)) faults.push(`${ends.get(13)} calls ended with INTERNAL`);
  // Mutants that are all refused, or all served, try little.
  expect(ends.get(0)).toBeGreaterThan(count / 50);
  expect(ends.get(3)).toBeGreaterThan(count / 50);
  return faults;
}

/** Sends connections with broken frames; resolves to those that the picker leaves open though their client is done. */
async function sendConnections(count: number, from: number): Promise<string[]> {
  const faults: string[] = [];
  await inParallel(48, count, from, async (chance) => {
    const bytes = mutateConnection(chance);
    const connection = new RawConnection(target.address);
    connection.write(bytes);
    const isOver = new Promise<void>((resolve) => connection.socket.on('close', resolve));
    if (chance.below(2) === 0)
      await until('an answer or the end', () => connection.received !== '' || connection.closed);
    if (chance.below(4) === 0) connection.socket.resetAndDestroy();
    else connection.socket.end();
    const timer = setTimeout(() => {
      faults.push(`left open after ${bytes.toString('hex')}`);
      connection.destroy();
    }, 20_000);
    await isOver;
    clearTimeout(timer);
    return 1;
  });
  return faults;
}
