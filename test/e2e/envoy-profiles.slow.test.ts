import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SimEngine } from '../../src/sim/server.ts';
import { EnvoyWorld } from './envoy/world.ts';
import { Client } from './testkit/client.ts';
import { echo, sendObject, type ScriptedEngine, type Script } from './testkit/engine.ts';
import { publishing, RunningIndexer } from './testkit/indexer.ts';
import { group } from './testkit/manifests.ts';
import { metricAt } from './testkit/router.ts';
import { until } from './testkit/until.ts';

const profiles = fileURLToPath(new URL('../../examples/profiles/', import.meta.url));
const prefillHeader = 'x-openfuyao-prefill-pod-address-port';
const decodeHeader = 'x-openfuyao-decode-pod-address-port';

let world: EnvoyWorld;
let folder: string;
let indexer: RunningIndexer | null;
beforeEach(() => {
  world = new EnvoyWorld();
  folder = mkdtempSync(join(tmpdir(), 'hermes-profile-'));
  indexer = null;
});
afterEach(async () => {
  await world.close();
  await indexer?.close();
  rmSync(folder, { recursive: true });
});

/** A profile's file as it is, but for where its cache-indexer is. */
function profile(name: string, manager: string | null = null): string {
  let text = readFileSync(join(profiles, name), 'utf8');
  if (manager !== null) {
    const [ip, port] = manager.split(':');
    const parameters = `parameters: {kvCacheManagerIP: ${ip}, kvCacheManagerPort: ${port}}`;
    text = text.replace('cache-indexer-service', ip).replace('kvCacheManagerPort: 8080', `kvCacheManagerPort: ${port}`);
    text = text.replace(/(- type: scorer-pd-kv-cache-aware).*\n( *)/, `$1\n$2  ${parameters}\n$2`);
    expect(text).toContain(`kvCacheManagerPort: ${port}`);
  }
  return put(text);
}

function put(text: string): string {
  const file = join(folder, 'config.yaml');
  writeFileSync(`${file}.draft`, text);
  renameSync(`${file}.draft`, file);
  return file;
}

/** A member of a disaggregated group. */
interface Member {
  readonly address: string;
  readonly role: 'prefill' | 'decode' | 'leader';
  readonly group: string;
  readonly tpSize?: number;
}

function pairs(members: readonly Member[]) {
  const endpoints = members.map(({ address, role, group: id, tpSize }, i) => ({
    name: `${id}-${role}-${i}`,
    address,
    labels: {
      'openfuyao.com/pdRole': role,
      'openfuyao.com/pdGroupID': id,
      ...(tpSize === undefined ? {} : { 'openfuyao.com/tpSize': String(tpSize) }),
    },
  }));
  return group('g', [], { models: ['m'], discovery: { type: 'Static', static: { endpoints } } });
}

/** Leaders that answer by themselves and keep what they are told, before engines that are only picked. */
async function groupsOf(names: readonly string[], each: number, tpSizes: Readonly<Record<string, number>> = {}) {
  const members: Member[] = [];
  const leaders = new Map<string, ScriptedEngine>();
  for (const name of names) {
    const [leader] = await world.script(1, 'm');
    leaders.set(name, leader);
    members.push({ address: leader.address, role: 'leader', group: name });
    for (const role of ['prefill', 'decode'] as const)
      for (const engine of await world.script(each, 'm'))
        members.push({ address: engine.address, role, group: name, tpSize: tpSizes[name] ?? 1 });
  }
  const addresses = (name: string, role: string): string[] =>
    members.filter((one) => one.group === name && one.role === role).map(({ address }) => address);
  return { members, leaders, addresses };
}

/** Addresses by which a leader was told of its pairs. */
function told(leader: ScriptedEngine, header: string): string[] {
  return leader.seen.map(({ headers }) => String(headers[header]));
}

const prompt = (tokens: number, about = 'x'): object => ({
  messages: [{ role: 'user', content: about.padEnd(4 * tokens, 'word ') }],
});

it('epp-random-pd-bucket: requests go to all leaders, each with a pair of its own group, all of which are used', async () => {
  const { members, leaders, addresses } = await groupsOf(['a', 'b'], 2);
  const { client } = await world.serve([pairs(members)], {
    flags: ['--config-file', profile('epp-random-pd-bucket.yaml')],
  });
  // That one of 8 engines gets none of 160 requests happens once in 10^19 times.
  const answers = await Promise.all(Array.from({ length: 160 }, () => client.chat('m')));
  expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
  for (const [name, leader] of leaders) {
    expect(new Set(told(leader, prefillHeader))).toEqual(new Set(addresses(name, 'prefill')));
    expect(new Set(told(leader, decodeHeader))).toEqual(new Set(addresses(name, 'decode')));
  }
  expect([...leaders.values()].reduce((sum, leader) => sum + leader.seen.length, 0)).toBe(160);
});

describe('epp-pd-bucket', () => {
  it('sends short prompts to the group of small engines and long ones to that of large, and load is given back', async () => {
    const { members, leaders } = await groupsOf(['small', 'large'], 1, { small: 1, large: 8 });
    const { client } = await world.serve([pairs(members)], {
      flags: ['--config-file', profile('epp-pd-bucket.yaml')],
    });
    const at = (name: string): ScriptedEngine => {
      const leader = leaders.get(name);
      if (leader === undefined) throw new Error(`no leader of ${name}`);
      return leader;
    };
    const counts = (): number[] => [at('small').seen.length, at('large').seen.length];
    for (let i = 0; i < 8; i++) expect((await client.chat('m', prompt(20))).status).toBe(200);
    expect(counts()).toEqual([8, 0]);
    for (let i = 0; i < 8; i++) expect((await client.chat('m', prompt(1500))).status).toBe(200);
    expect(counts()).toEqual([8, 8]);
    // Of prompts in between, load decides: what is held keeps its charge.
    const held: (() => void)[] = [];
    const hold: Script = (seen, response) => held.push(() => echo(seen, response));
    for (const leader of leaders.values()) leader.script = hold;
    const burst = Array.from({ length: 40 }, () => client.chat('m', prompt(150)));
    await until('all are with a leader', () => held.length === 40);
    expect(Math.min(...counts())).toBeGreaterThan(8 + 5);
    for (const leader of leaders.values()) leader.script = echo;
    for (const release of held) release();
    expect((await Promise.all(burst)).filter(({ status }) => status !== 200)).toEqual([]);
    const [before] = counts();
    for (let i = 0; i < 8; i++) await client.chat('m', prompt(150));
    expect(counts()[0]).toBe(before + 8);
  });

  it('has charges given back of clients that leave, too', async () => {
    const { members, leaders } = await groupsOf(['small', 'large'], 1, { small: 1, large: 8 });
    const { client } = await world.serve([pairs(members)], {
      flags: ['--config-file', profile('epp-pd-bucket.yaml')],
    });
    for (const leader of leaders.values()) leader.script = () => undefined;
    const leaving = new AbortController();
    const burst = Array.from({ length: 30 }, () => client.chat('m', prompt(150), { signal: leaving.signal }));
    await until('all are with a leader', () => [...leaders.values()].reduce((sum, { open }) => sum + open, 0) === 30);
    leaving.abort();
    await Promise.allSettled(burst);
    await world.idle();
    for (const leader of leaders.values()) leader.script = echo;
    const small = leaders.get('small');
    const before = small?.seen.length ?? 0;
    for (let i = 0; i < 8; i++) expect((await client.chat('m', prompt(150))).status).toBe(200);
    expect(small?.seen.length).toBe(before + 8);
  });
});

describe('a leader that is restricted', () => {
  it('a subset hint is about leaders, not about the engines behind them', async () => {
    const { members, leaders, addresses } = await groupsOf(['a', 'b'], 1);
    const only = leaders.get('b')?.address ?? '';
    const { client } = await world.serve(
      [pairs(members)],
      { flags: ['--config-file', profile('epp-random-pd-bucket.yaml')] },
      { subset: [only] },
    );
    for (let i = 0; i < 10; i++) expect((await client.chat('m')).status).toBe(200);
    const counts = [...leaders].map(([name, { seen }]) => [name, seen.length]);
    expect(counts).toEqual([['a', 0], ['b', 10]]); // prettier-ignore
    expect(new Set(told(leaders.get('b') as ScriptedEngine, prefillHeader))).toEqual(
      new Set(addresses('b', 'prefill')),
    );
  });
});

const publishes = { kvEvents: { events: 'tcp://127.0.0.1:0', replay: 'tcp://127.0.0.1:0' } };

it('epp-pd-kv-cache-aware: a conversation goes to the prefiller that has it cached, as cache-indexer knows', async () => {
  const direct: Client[] = [];
  /** Hands a request over as a leader does: the prompt to the prefiller, then all to the decoder. */
  const lead: Script = ({ headers, body }, response) => {
    const ask = async (address: string, fields: object): Promise<string> => {
      const client = new Client(address);
      direct.push(client);
      const request = JSON.parse(body) as object;
      return (await client.post('/v1/chat/completions', { ...request, ...fields })).text;
    };
    void ask(String(headers[prefillHeader]), { max_tokens: 1 })
      .then(() => ask(String(headers[decodeHeader]), {}))
      .then((text) => sendObject(response, JSON.parse(text) as object));
  };
  const members: Member[] = [];
  const prefillers: SimEngine[] = [];
  const leaders: ScriptedEngine[] = [];
  for (const name of ['a', 'b', 'c']) {
    const [leader] = await world.script(1, 'm', lead);
    const [prefiller, decoder] = [(await world.sim(1, 'm', publishes))[0], (await world.sim(1, 'm'))[0]];
    leaders.push(leader);
    prefillers.push(prefiller);
    members.push({ address: leader.address, role: 'leader', group: name });
    members.push({ address: prefiller.address, role: 'prefill', group: name });
    members.push({ address: decoder.address, role: 'decode', group: name });
  }
  indexer = await RunningIndexer.start([publishing('m', prefillers)]);
  const { client } = await world.serve([pairs(members)], {
    flags: ['--config-file', profile('epp-pd-kv-cache-aware.yaml', indexer.address)],
  });
  for (let conversation = 0; conversation < 3; conversation++) {
    const messages = (turn: string) => [
      { role: 'system', content: `conversation ${conversation} `.repeat(100) },
      { role: 'user', content: turn },
    ];
    expect((await client.chat('m', { messages: messages('one') })).status).toBe(200);
    const first = leaders.find(({ seen }) => seen.at(-1)?.body.includes(`conversation ${conversation} `));
    if (first === undefined) throw new Error('no leader got it');
    const prefiller = told(first, prefillHeader).at(-1);
    const known = indexer;
    await until('the hit is known', async () => {
      const { matches } = await known.matches({ model: 'm', messages: messages('two') });
      return matches.some(({ address, matched_tokens }) => address === prefiller && matched_tokens > 0);
    });
    const before = first.seen.length;
    for (let turn = 0; turn < 5; turn++) await client.chat('m', { messages: messages(`more ${turn}`) });
    expect(first.seen.length).toBe(before + 5);
    expect(told(first, prefillHeader).slice(-5)).toEqual(Array.from({ length: 5 }, () => prefiller));
  }
  await Promise.all(direct.map((one) => one.close()));
});

describe('epp-kv-cache-aware', () => {
  const messages = (about: string, turn: string) => [
    { role: 'system', content: `${about} `.repeat(300) },
    { role: 'user', content: turn },
  ];

  it('a conversation stays with the engine that has it cached, as cache-indexer knows', async () => {
    const engines = await world.sim(3, 'm', publishes);
    indexer = await RunningIndexer.start([publishing('m', engines)]);
    const { client } = await world.serve([group('g', world.addresses, { models: ['m'] })], {
      flags: ['--config-file', profile('epp-kv-cache-aware.yaml', indexer.address)],
    });
    const known = indexer;
    const requests = (): number[] => engines.map((engine) => engine.state().requests);
    for (const about of ['rivers', 'mountains', 'deserts']) {
      const before = requests();
      expect((await client.chat('m', { messages: messages(about, 'one') })).status).toBe(200);
      const first = requests().findIndex((count, i) => count > before[i]);
      await until('the hit is known', async () => {
        const matched = await known.matched({ model: 'm', messages: messages(about, 'two') });
        return matched[`e${first + 1}`] > 0;
      });
      for (let turn = 0; turn < 5; turn++) await client.chat('m', { messages: messages(about, `more ${turn}`) });
      expect(requests()[first]).toBe(before[first] + 6);
    }
  });

  it('costs the hits and no request when cache-indexer is away', async () => {
    const engines = await world.sim(2, 'm');
    const { client, picker } = await world.serve([group('g', world.addresses, { models: ['m'] })], {
      flags: ['--config-file', profile('epp-kv-cache-aware.yaml', '127.0.0.1:1')],
    });
    for (let i = 0; i < 8; i++) expect((await client.chat('m')).status).toBe(200);
    expect(engines.reduce((sum, engine) => sum + engine.state().requests, 0)).toBe(8);
    expect(await metricAt(picker.metrics, 'hermes_manager_failures_total')).toBe(8);
  });
});

it('epp-queue-cache-prefix: conversations stay where they are, and new ones are spread', async () => {
  const engines = await world.sim(4, 'm');
  const { client } = await world.serve([group('g', world.addresses, { models: ['m'] })], {
    flags: ['--config-file', profile('epp-queue-cache-prefix.yaml')],
  });
  const requests = (): number[] => engines.map((engine) => engine.state().requests);
  const homes = new Set<number>();
  // That 24 conversations all begin with one of four engines happens once in 10^13 times.
  for (let conversation = 0; conversation < 24; conversation++) {
    const turns: number[] = [];
    for (let turn = 0; turn < 3; turn++) {
      const before = requests();
      const { status } = await client.chat('m', prompt(400 + turn, `conversation ${conversation}`));
      expect(status).toBe(200);
      turns.push(requests().findIndex((count, i) => count > before[i]));
    }
    expect(new Set(turns).size).toBe(1);
    homes.add(turns[0]);
  }
  expect(homes.size).toBeGreaterThan(1);
});

it('a profile is followed: a changed one is in force within seconds, a broken one leaves the last good', async () => {
  const { members, leaders } = await groupsOf(['a', 'b'], 1, { a: 1, b: 8 });
  const { client, picker } = await world.serve([pairs(members)], {
    flags: ['--config-file', profile('epp-random-pd-bucket.yaml')],
  });
  put('apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\nplugins: [{type: no-such}]\n');
  await until('the fault is told', () => picker.process.stdout.includes('no-such'));
  expect((await client.chat('m')).status).toBe(200);
  profile('epp-pd-bucket.yaml');
  const [a, b] = [...leaders.values()];
  await until('short prompts go to small engines alone', async () => {
    const before = [a.seen.length, b.seen.length];
    for (let i = 0; i < 12; i++) expect((await client.chat('m', prompt(10))).status).toBe(200);
    return a.seen.length === before[0] + 12 && b.seen.length === before[1];
  });
});
