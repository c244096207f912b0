import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { echo, sendObject, type ScriptedEngine, type Script } from './testkit/engine.ts';
import { RunningLeader } from './testkit/leader.ts';
import { policy } from './testkit/manifests.ts';
import { pairedGroup, type PairMember } from './testkit/pairs.ts';
import { get, reasonOf } from './testkit/router.ts';
import { until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

const prefillHeader = 'x-openfuyao-prefill-pod-address-port';
const decodeHeader = 'x-openfuyao-decode-pod-address-port';

let world: World;
let leaders: RunningLeader[];
beforeEach(() => {
  world = new World();
  leaders = [];
});
afterEach(async () => {
  await Promise.all(leaders.map((leader) => leader.close()));
  await world.close();
});

const prefill: Script = (_seen, response) => sendObject(response, { id: '1', kv_transfer_params: { blocks: [1] } });

/** Engines of groups, each of so many prefillers and decoders. */
async function engines(groups: Readonly<Record<string, readonly [prefills: number, decodes: number]>>) {
  const members: PairMember[] = [];
  const by = new Map<string, ScriptedEngine>();
  for (const [group, [prefills, decodes]] of Object.entries(groups)) {
    for (const [role, count, script] of [
      ['prefill', prefills, prefill],
      ['decode', decodes, echo],
    ] as const)
      // prettier-ignore
      for (const [i, engine] of (await world.script(count, 'm', script)).entries()) {
        const name = `${group}-${role[0]}${i}`;
        members.push({ name, address: engine.address, role, group });
        by.set(name, engine);
      }
  }
  const engine = (name: string): ScriptedEngine => {
    const found = by.get(name);
    if (found === undefined) throw new Error(`no engine ${name}`);
    return found;
  };
  return { members, engine, seen: (name: string): number => engine(name).seen.length };
}

async function lead(members: readonly PairMember[], flags: readonly string[] = []): Promise<RunningLeader> {
  const leader = await RunningLeader.start([pairedGroup('m', members)], flags);
  leaders.push(leader);
  return leader;
}

describe('a leader', () => {
  it('hands a request over to the pair that both headers name', async () => {
    const { members, engine, seen } = await engines({ g: [2, 2] });
    const { client } = await lead(members);
    const headers = { [prefillHeader]: engine('g-p1').address, [decodeHeader]: engine('g-d0').address };
    for (let i = 0; i < 10; i++) expect((await client.chat('m', {}, { headers })).status).toBe(200);
    expect(['g-p0', 'g-p1', 'g-d0', 'g-d1'].map(seen)).toEqual([0, 10, 10, 0]);
    const stream = await (await client.stream('m', {}, { headers })).drain();
    expect(stream.events.at(-1)).toBe('[DONE]');
    for (const name of ['g-p1', 'g-d0']) expect(engine(name).last.headers).not.toHaveProperty(prefillHeader);
  });

  it.each([
    ['neither is there', false, false],
    ['only the prefiller is named', true, false],
    ['only the decoder is named', false, true],
  ])('balances by itself where %s', async (_sentence, first, second) => {
    const { members, engine, seen } = await engines({ g: [2, 2] });
    const { client } = await lead(members);
    const headers = {
      ...(first ? { [prefillHeader]: engine('g-p1').address } : {}),
      ...(second ? { [decodeHeader]: engine('g-d1').address } : {}),
    };
    // That one of two gets none of 40 requests happens once in 10^12 times.
    for (let i = 0; i < 40; i++) expect((await client.chat('m', {}, { headers })).status).toBe(200);
    for (const name of ['g-p0', 'g-p1', 'g-d0', 'g-d1']) expect(seen(name)).toBeGreaterThan(0);
  });

  it('gives the next request to those who work on fewer tokens', async () => {
    const { members, engine, seen } = await engines({ g: [2, 2] });
    const { client } = await lead(members);
    const held: (() => void)[] = [];
    for (const name of ['g-d0', 'g-d1'])
      engine(name).script = (request, response) => void held.push(() => echo(request, response));
    const long = client.chat('m', { messages: [{ role: 'user', content: 'long '.repeat(2000) }] });
    await until('the long one is with a decoder', () => held.length === 1);
    const busy = seen('g-d0') === 1 ? 'g-d0' : 'g-d1';
    const short = Array.from({ length: 6 }, () => client.chat('m'));
    await until('all are with a decoder', () => held.length === 7);
    expect(seen(busy)).toBe(1);
    for (const answer of held) answer();
    expect((await Promise.all([long, ...short])).filter(({ status }) => status !== 200)).toEqual([]);
  });

  it.each<[string, string | null]>([
    ['an address of nobody', '10.9.9.9:80'],
    ['the address of an engine with the other role', null],
    ['no address', 'nonsense'],
    ['a host name', 'localhost:80'],
    ['a port that there is not', '127.0.0.1:70000'],
  ])('refuses %s in the headers, and sends nothing anywhere', async (_sentence, address) => {
    const { members, engine, seen } = await engines({ g: [1, 1] });
    const { client } = await lead(members);
    const headers = { [prefillHeader]: address ?? engine('g-d0').address, [decodeHeader]: engine('g-d0').address };
    const { status, error } = await client.chat('m', {}, { headers });
    expect([status, error.type, error.code]).toEqual([400, 'invalid_request_error', 'invalid_value']);
    expect(['g-p0', 'g-d0'].map(seen)).toEqual([0, 0]);
  });

  it('refuses transfer parameters of a client', async () => {
    const { members, seen } = await engines({ g: [1, 1] });
    const { client } = await lead(members);
    const { status, error } = await client.chat('m', { kv_transfer_params: { do_remote_prefill: true } });
    expect([status, error.param]).toEqual([400, 'kv_transfer_params']);
    expect(seen('g-d0')).toBe(0);
  });

  it('leads one group of several: the others are nobody to it', async () => {
    const { members, engine, seen } = await engines({ a: [1, 1], b: [1, 1] });
    const leader = await lead(members, ['--pd-group', 'b']);
    for (let i = 0; i < 5; i++) expect((await leader.client.chat('m')).status).toBe(200);
    expect(['a-p0', 'a-d0', 'b-p0', 'b-d0'].map(seen)).toEqual([0, 0, 5, 5]);
    const headers = { [prefillHeader]: engine('a-p0').address, [decodeHeader]: engine('a-d0').address };
    expect((await leader.client.chat('m', {}, { headers })).status).toBe(400);
  });
});

describe('the pages of a leader', () => {
  it('/health counts who is ready, and is 200 only for a whole group', async () => {
    const { members, engine } = await engines({ g: [2, 1] });
    const leader = await lead(members);
    expect(JSON.parse((await leader.health()).text)).toMatchObject({ ready: 3, total: 3 });
    await engine('g-p1').close();
    await until('one is out', async () => (await leader.health()).status === 500);
    expect(JSON.parse((await leader.health()).text)).toMatchObject({
      ready: 2,
      total: 3,
      prefill: { ready: 1, total: 2 },
      decode: { ready: 1, total: 1 },
    });
    expect((await leader.client.chat('m')).status).toBe(200);
  });

  it('/listEndPoints tells of every engine, by role', async () => {
    const { members, engine } = await engines({ g: [1, 2] });
    const leader = await lead(members);
    const { text } = await leader.client.get('/listEndPoints');
    const row = (pod: string) => ({ pod, address: engine(pod).address, group_id: 'g', ready: true });
    expect(JSON.parse(text)).toEqual({ prefill: [row('g-p0')], decode: [row('g-d0'), row('g-d1')] });
  });

  it('/metrics has those of all engines, each with its labels, and says who is missing', async () => {
    const { members, engine } = await engines({ g: [1, 1] });
    const leader = await lead(members);
    for (const name of ['g-p0', 'g-d0'])
      engine(name).metrics = '# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{model_name="m"} 2\n';
    const { text, headers } = await leader.client.get('/metrics');
    expect(headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    const sample = (pod: string, role: string): string =>
      `vllm:num_requests_running{model_name="m",pod="${pod}",group_id="g",role="${role}"} 2\n`;
    expect(text).toContain(sample('g-p0', 'prefill'));
    expect(text).toContain(sample('g-d0', 'decode'));
    expect(text.match(/# TYPE vllm:num_requests_running/g)).toHaveLength(1);
    await engine('g-p0').close();
    expect((await leader.client.get('/metrics')).text).toContain(
      'hermes_pd_engine_up{pod="g-p0",group_id="g",role="prefill"} 0',
    );
  });

  it('take no other method, and other paths of engines stay closed', async () => {
    const { members } = await engines({ g: [1, 1] });
    const { client } = await lead(members);
    expect((await client.post('/health', {})).status).toBe(405);
    expect((await client.get('/reset_prefix_cache')).status).toBe(404);
  });
});

describe('a router before leaders', () => {
  /** Two groups with a leader each, and a router that picks the pairs. */
  async function front(strategy: string) {
    const { members, engine, seen } = await engines({ a: [1, 1], b: [1, 1] });
    for (const id of ['a', 'b']) {
      const { address } = await lead(members, ['--pd-group', id]);
      members.push({ name: `${id}-leader`, address, role: 'leader', group: id });
    }
    const router = await world.serve([
      pairedGroup('m', members, { handover: 'Leader' }),
      policy('m', { strategy: { type: strategy }, debug: { headers: true } }),
    ]);
    return { engine, seen, router };
  }

  it.each(['RandomPDBucket', 'PDBucket', 'PDKVAware', 'Auto'])(
    '%s: each request goes to one group’s leader and its pair',
    async (strategy) => {
      const { seen, engine } = await front(strategy);
      for (let i = 0; i < 30; i++) {
        const { status, headers } = await world.client.chat(
          'm',
          { seed: i },
          { headers: { 'x-hermes-debug': '1', 'x-request-id': `r${i}` } },
        );
        const [group] = String(headers['x-hermes-endpoint']);
        expect([status, headers['x-hermes-endpoint']]).toEqual([200, `${group}-leader`]);
        for (const name of [`${group}-p0`, `${group}-d0`])
          expect(engine(name).last.headers['x-request-id']).toBe(`r${i}`);
      }
      expect(seen('a-p0') + seen('b-p0')).toBe(30);
    },
  );

  it('a group whose prefiller is gone gets nothing, while its leader counts as well', async () => {
    const { seen, engine, router } = await front('RandomPDBucket');
    await engine('a-p0').close();
    await until('it is out', async () => (await reasonOf(router, 'm', 'a-p0')) === 'Unhealthy');
    expect(await reasonOf(router, 'm', 'a-leader')).toBe('Ready');
    for (let i = 0; i < 20; i++) expect((await world.client.chat('m')).status).toBe(200);
    expect([seen('a-d0'), seen('b-d0')]).toEqual([0, 20]);
  });

  it('a group whose leader is gone gets nothing, since nobody could hand over there', async () => {
    const { seen, router } = await front('RandomPDBucket');
    await leaders[0].process.kill();
    await until('it is out', async () => (await reasonOf(router, 'm', 'a-leader')) === 'Unhealthy');
    for (let i = 0; i < 20; i++) expect((await world.client.chat('m')).status).toBe(200);
    expect(seen('b-d0')).toBe(20);
  });
});

it('a leader without a group says what is missing', async () => {
  const { members } = await engines({ g: [1, 1] });
  const leader = await lead(members);
  leader.manifests.write('all.yaml', []);
  await until('it is told', async () => (await get(`http://${leader.metrics}/readyz`)).status === 503);
  expect((await get(`http://${leader.metrics}/readyz`)).text).toContain('no BackendGroup with topology PrefillDecode');
  expect((await leader.client.chat('m')).status).toBe(200);
});
