import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Conversation } from '../epp-protocol/conversation.ts';
import { Connection } from '../epp-protocol/grpc.ts';
import { pickerIdle, startPicker } from './envoy/picker.ts';
import { EnvoyWorld } from './envoy/world.ts';
import { chatBody, Client } from './testkit/client.ts';
import { echo, ScriptedEngine, type Script } from './testkit/engine.ts';
import { Load } from './testkit/load.ts';
import { group, policy, type Document } from './testkit/manifests.ts';
import { metricAt } from './testkit/router.ts';
import { until } from './testkit/until.ts';

const crowd = 3000;

let world: EnvoyWorld;
beforeEach(() => {
  world = new EnvoyWorld();
});
afterEach(() => world.close());

/** Engines share this process with thousands of clients: who is slow to answer a probe is not away. */
function manifests(addresses: readonly string[]): Document[] {
  const health = { interval: '300ms', timeout: '30s', failures: 10, successes: 1 };
  return [group('g', addresses, { models: ['m'], health }), policy('m', { backendRefs: [{ name: 'g' }] })];
}

describe(`${crowd} requests in flight at once`, () => {
  it('through Envoy, with its limits raised: none is refused', { timeout: 120_000 }, async () => {
    const held: (() => void)[] = [];
    const hold: Script = (seen, response) => held.push(() => echo(seen, response));
    await world.script(4, 'm', hold);
    const { envoy, picker } = await world.serve(manifests(world.addresses), {}, { limit: 10_000 });
    const client = new Client(envoy.address, { connections: crowd });
    try {
      const answers = Array.from({ length: crowd }, () => client.chat('m'));
      await until('all are with an engine', () => held.length === crowd, 60_000);
      expect(await metricAt(picker.metrics, 'hermes_requests_in_flight')).toBe(crowd);
      for (const release of held.splice(0)) release();
      const statuses = new Map<number, number>();
      for (const { status } of await Promise.all(answers)) statuses.set(status, (statuses.get(status) ?? 0) + 1);
      expect(statuses).toEqual(new Map([[200, crowd]]));
    } finally {
      await client.close();
    }
  });

  it('on one HTTP/2 connection of our own: all are picked, and all end well', { timeout: 120_000 }, async () => {
    const engine = await ScriptedEngine.start(['m']);
    const picker = await startPicker(manifests([engine.address]));
    const connection = await Connection.open(picker.grpc);
    try {
      const body = JSON.stringify(chatBody('m', { user: 'x'.repeat(4000) }));
      const all = Array.from({ length: crowd }, () => new Conversation(connection).headers().body(body));
      for (const conversation of all) expect((await conversation.picked()).endpoints).toEqual([engine.address]);
      expect(await metricAt(picker.metrics, 'hermes_requests_in_flight')).toBe(crowd);
      const ends = await Promise.all(all.map((conversation) => conversation.finish()));
      expect(ends.filter(({ code }) => code !== 0)).toEqual([]);
      await pickerIdle(picker);
    } finally {
      await connection.close();
      await picker.stop();
      await engine.close();
    }
  });
});

it('engines come and go under load, and no request is lost', { timeout: 120_000 }, async () => {
  const engines = await world.sim(4, 'm', { speedUp: 20 });
  const { picker, client } = await world.serve(manifests(world.addresses));
  const load = new Load(24, async (turn) => {
    const { status, text } = await client.chat('m', { max_tokens: 1 + (turn % 40) });
    return status === 200 ? null : `${status} ${text}`;
  });
  const memberships = [[0, 1], [2, 3], [0], [1, 2, 3], [3], [0, 1, 2, 3]]; // prettier-ignore
  for (const members of memberships) {
    picker.manifests.write('all.yaml', manifests(members.map((i) => engines[i].address)));
    const served = (): number[] => engines.map((engine) => engine.state().requests);
    // Requests that were picked before are let through; then only members get more.
    await until('the new members alone get requests', async () => {
      const before = served();
      const done = load.done;
      await until('some more requests', () => load.done > done + 48);
      const after = served();
      return engines.every((_, i) => members.includes(i) === after[i] > before[i]);
    });
  }
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(load.done).toBeGreaterThan(300);
});
