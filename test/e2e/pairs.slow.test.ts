import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EnvoyWorld } from './envoy/world.ts';
import { Client } from './testkit/client.ts';
import { RunningLeader } from './testkit/leader.ts';
import { policy } from './testkit/manifests.ts';
import { PairedEngines, type EngineStarter, type GroupShape } from './testkit/paired-engines.ts';
import { pairedGroup, type PairMember } from './testkit/pairs.ts';
import { startEngines } from './testkit/sim.ts';
import { until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

const shapes: readonly [string, Readonly<Record<string, GroupShape>>][] = [
  ['two groups of 1P1D', { a: { prefills: [1], decodes: [1] }, b: { prefills: [1], decodes: [1] } }],
  ['2P1D beside 1P3D', { a: { prefills: [1, 1], decodes: [1] }, b: { prefills: [1], decodes: [1, 1, 1] } }],
  [
    'tensor-parallel sizes of 1, 2, 4 and 8',
    { a: { prefills: [1, 2], decodes: [1] }, b: { prefills: [4], decodes: [2, 8] } },
  ],
];

/** How a request comes to its pair. */
interface Way {
  readonly starter: EngineStarter;
  /** Starts what is in front of the engines; returns who takes requests. */
  open(fleet: PairedEngines, strategy: string): Promise<Client>;
  close(): Promise<void>;
}

const rules = (strategy: string) => policy('m', { strategy: { type: strategy }, debug: { headers: true } });

function byRouter(): Way {
  const world = new World();
  return {
    starter: world,
    async open({ members }, strategy) {
      await world.serve([pairedGroup('m', members), rules(strategy)]);
      return world.client;
    },
    close: () => world.close(),
  };
}

/** A leader before each group; adds them to the members. */
async function withLeaders(members: readonly PairMember[], leaders: RunningLeader[]): Promise<PairMember[]> {
  const all = [...members];
  for (const group of new Set(members.map((member) => member.group))) {
    const leader = await RunningLeader.start([pairedGroup('m', members)], ['--pd-group', group]);
    leaders.push(leader);
    all.push({ name: `${group}-leader`, address: leader.address, role: 'leader', group });
  }
  return all;
}

function byLeaders(): Way {
  const world = new World();
  const leaders: RunningLeader[] = [];
  return {
    starter: world,
    async open({ members }, strategy) {
      const all = await withLeaders(members, leaders);
      await world.serve([pairedGroup('m', all, { handover: 'Leader' }), rules(strategy)]);
      return world.client;
    },
    async close() {
      // A router keeps its connections to leaders, which would count as left over.
      await Promise.all(leaders.map((leader) => leader.close()));
      await world.close();
    },
  };
}

function byEnvoy(): Way {
  const world = new EnvoyWorld();
  const leaders: RunningLeader[] = [];
  return {
    starter: world,
    async open({ members }, strategy) {
      const all = await withLeaders(members, leaders);
      await world.serve(
        [
          pairedGroup('g', all, { handover: 'Leader' }, { models: ['m'] }),
          {
            ...policy('m', { strategy: { type: strategy } }),
            spec: { match: { models: ['m'] }, backendRefs: [{ name: 'g' }], strategy: { type: strategy } },
          },
        ],
        {},
        { engines: leaders.map(({ address }) => address) },
      );
      return world.client;
    },
    async close() {
      // A router keeps its connections to leaders, which would count as left over.
      await Promise.all(leaders.map((leader) => leader.close()));
      await world.close();
    },
  };
}

let way: Way | null = null;
let single: Client;
let closeSingle: () => Promise<void>;

beforeEach(async () => {
  const [engine] = await startEngines(1, 'm', { speedUp: 4 });
  single = new Client(engine.address);
  closeSingle = () => engine.close();
});
afterEach(async () => {
  await way?.close();
  way = null;
  await single.close();
  await closeSingle();
});

const prompt = (i: number) => ({
  messages: [{ role: 'user', content: `Question ${i}: ${'why is it so? '.repeat(1 + (i % 5) * 60)}` }],
  max_tokens: 3 + (i % 7),
});

/** What does not depend on when and where it was made. */
const timeless = (text: string): string => text.replace(/"created":\d+/g, '"created":0');

describe.each<[string, () => Way]>([
  ['the router itself', byRouter],
  ['leaders', byLeaders],
  ['leaders behind Envoy and our picker', byEnvoy],
])('a hand-over by %s', (_by, open) => {
  it.each(shapes)('%s: pairs of one group, answers as of a single engine to the byte', async (_shape, groups) => {
    way = open();
    const fleet = await PairedEngines.start(way.starter, groups, { speedUp: 4 });
    const client = await way.open(fleet, 'RandomPDBucket');
    await until('all is ready', async () => (await client.chat('m')).status === 200);
    const before = fleet.sum('decode', 'transfers');
    const requests = 30;
    const ask = async (i: number): Promise<void> => {
      const options = { headers: { 'x-request-id': `request-${i}` } };
      if (i % 2 === 0) {
        const [got, wanted] = await Promise.all(
          [client, single].map(async (by) => (await by.stream('m', prompt(i), options)).drain()),
        );
        expect([got.status, timeless(got.text)]).toEqual([200, timeless(wanted.text)]);
        return;
      }
      const [got, wanted] = await Promise.all([client, single].map((by) => by.chat('m', prompt(i), options)));
      expect([got.status, timeless(got.text)]).toEqual([200, timeless(wanted.text)]);
    };
    await Promise.all(Array.from({ length: requests }, (_, i) => ask(i)));
    // Every prefiller's blocks were read, by a decoder of its own group.
    for (const group of Object.keys(groups)) {
      const prefills = fleet.all('prefill', group).reduce((sum, engine) => sum + engine.state().requests, 0);
      expect(fleet.sum('prefill', 'releasedByRead', group)).toBe(prefills);
      expect(fleet.sum('decode', 'transfers', group)).toBe(prefills);
    }
    expect(fleet.sum('decode', 'transfers')).toBe(before + requests);
    await until('no block is held', () => fleet.sum('prefill', 'heldBlocks') === 0);
  });
});

it.each(['PDBucket', 'PDKVAware', 'Auto'])('%s over groups of unequal engines answers all', async (strategy) => {
  way = byRouter();
  const fleet = await PairedEngines.start(way.starter, shapes[2][1], { speedUp: 4 });
  const client = await way.open(fleet, strategy);
  const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => client.chat('m', prompt(i))));
  expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
  expect(fleet.sum('decode', 'transfers')).toBe(40);
});

describe('a threshold', () => {
  it('leaves short and cached prompts to a decoder alone', async () => {
    const world = new World();
    way = { starter: world, open: () => Promise.reject(new Error('opened by hand')), close: () => world.close() };
    const fleet = await PairedEngines.start(world, { a: { prefills: [1], decodes: [1] } }, { speedUp: 4 });
    const disaggregate = { type: 'Threshold', uncachedTokens: 200 };
    await world.serve([pairedGroup('m', fleet.members, { disaggregate }), policy('m')]);
    const messages = (turn: string) => [
      { role: 'system', content: 'word '.repeat(1000) },
      { role: 'user', content: turn },
    ];
    for (let i = 0; i < 3; i++) expect((await world.client.chat('m')).status).toBe(200);
    expect(fleet.engine('a-p0').state().requests).toBe(0);
    expect((await world.client.chat('m', { messages: messages('first') })).status).toBe(200);
    expect(fleet.engine('a-p0').state().requests).toBe(1);
    for (let i = 0; i < 3; i++) await world.client.chat('m', { messages: messages(`turn ${i}`) });
    expect(fleet.engine('a-p0').state().requests).toBe(1);
    expect(fleet.engine('a-d0').state().requests).toBe(7);
  });
});
