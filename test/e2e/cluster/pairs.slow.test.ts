// Pairs of prefiller and decoder on a real API server: found by labels, told of in status, picked by proxy and endpoint picker.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Client } from '../testkit/client.ts';
import { until } from '../testkit/until.ts';
import { startCluster } from './kit/index.ts';
import { LeaderProcess, leaderPlace } from './testkit/leader.ts';
import { Operator, placeFor, quick, read, type Place } from './testkit/operator.ts';
import { fleetOn, PairedPods } from './testkit/paired-pods.ts';
import { ask, inferencePool, pick, pickerPlace, PickerProcess } from './testkit/picker.ts';
import { discoveredGroup, policy } from './testkit/resources.ts';

const cluster = startCluster();
const engines = ['a-p0', 'a-d0', 'b-p0', 'b-d0'];
const fleet = fleetOn(cluster, engines);
let place: Place;
let pods: PairedPods;
const closed: { close(): Promise<unknown> }[] = [];

afterEach(async () => {
  for (const one of closed.splice(0).reverse()) await one.close();
});

const apply = (...texts: string[]) => cluster.apply(texts.join('---'), '-n', place.namespace);
const topology = (prefillDecode: string): string =>
  `topology: {type: PrefillDecode, prefillDecode: {${prefillDecode}}}`;
const byPods = (): string =>
  `{type: Pods, pods: {selector: {matchLabels: {app: engine}}, targetPorts: [{number: ${fleet.port}}]}}`;
const paired = (more = topology('handover: Router'), discovery = byPods()): string =>
  `${discoveredGroup('g', discovery)}  ${more}\n`;
const byStrategy = (type: string, backends = '[{name: g}]'): string =>
  policy('p', `{match: {models: [m]}, backendRefs: ${backends}, strategy: {type: ${type}}}`);

async function conditionOf(kind: 'bg' | 'rp', type: string): Promise<string> {
  const { metadata, status } = await read(cluster, kind, place.namespace, kind === 'bg' ? 'g' : 'p');
  const found = status?.conditions?.find((one) => one.type === type);
  if (found === undefined || found.observedGeneration !== metadata.generation) return '';
  return `${found.status}/${found.reason}: ${found.message}`;
}

const untilSaid = (kind: 'bg' | 'rp', type: string, words: string) =>
  until(`${kind} says ${type} ${words}`, async () => (await conditionOf(kind, type)).includes(words)).catch(
    async (error: unknown) => {
      throw new Error(`${String(error)}; it says ${await conditionOf(kind, type)}`);
    },
  );

describe('serve', () => {
  let operator: Operator;
  let client: Client;

  beforeEach(async () => {
    place = await placeFor(cluster);
    pods = new PairedPods(cluster, place.namespace, fleet);
    operator = await Operator.ready({ kubeconfig: place.kubeconfig, flags: quick });
    client = new Client(operator.proxy);
    closed.push({ close: () => operator.kill() }, client);
  });

  const untilReady = async (...names: string[]): Promise<void> => {
    const wanted = names.toSorted().join();
    await until(`${wanted} are ready`, async () => {
      const members = (await operator.table()).groups.flatMap((group) => group.members);
      const ready = members.filter(({ reason }) => reason === 'Ready').map(({ name }) => name);
      return ready.sort().join() === wanted;
    });
  };

  it('finds pairs by the labels of Pods, and says in status what they are and what is missing', async () => {
    await apply(paired(), byStrategy('PDBucket'));
    await pods.runBare('bare', fleet.ip('nobody'));
    // Before the Pod is seen, NoMatch says that there is none.
    await untilSaid('bg', 'Discovered', 'openfuyao.com/pdRole');
    expect(await conditionOf('bg', 'Discovered')).toContain('False/NoMatch');
    expect((await client.chat('m')).status).toBe(503);
    await pods.remove('bare');
    await pods.run('a-p0');
    await untilSaid('bg', 'Discovered', 'a has no decode');
    await pods.run('a-d0');
    await untilSaid('bg', 'Discovered', 'True/Discovered');
    await untilReady('a-p0', 'a-d0');
    await untilSaid('bg', 'Ready', 'True/');
    const before = fleet.requests(...engines);
    expect((await client.chat('m')).status).toBe(200);
    expect(fleet.requests(...engines).map((count, i) => count - before[i])).toEqual([1, 1, 0, 0]);
    await until('kubectl shows it', async () =>
      /g\s+m\s+vLLM\s+PrefillDecode\s+2\s+2/.test(await cluster.mustKubectl(['get', 'bg', '-n', place.namespace])),
    );
    const { status } = await read(cluster, 'bg', place.namespace, 'g');
    const members = status?.members as { name: string; role?: string }[];
    expect(Object.fromEntries(members.map(({ name, role }) => [name, role]))).toEqual({
      'a-p0': 'prefill',
      'a-d0': 'decode',
    });
    await pods.remove('a-p0');
    await untilSaid('bg', 'Discovered', 'a has no prefill');
    expect((await client.chat('m')).status).toBe(503);
  });

  it('says which strategy is in force for pairs, and leaves them out where it is for single endpoints', async () => {
    await pods.run('a-p0', 'a-d0');
    await apply(paired(), byStrategy('PDBucket'));
    const profile = async (): Promise<string> =>
      String((await read(cluster, 'rp', place.namespace, 'p')).status?.effectiveProfile);
    await untilReady('a-p0', 'a-d0');
    await until('the bucket is in force', async () => (await profile()).includes('scorer-pd-bucket'));
    await apply(byStrategy('Auto'));
    await until('Auto for pairs is in force', async () => (await profile()).includes('scorer-pd-least-time'));
    expect(await cluster.mustKubectl(['get', 'rp', '-n', place.namespace])).toMatch(/p\s+Auto\s+g 100%\s+True/);
    expect((await client.chat('m')).status).toBe(200);
    await apply(byStrategy('KVAware'));
    await untilSaid('rp', 'ResolvedRefs', 'False/UnsupportedInMode');
    await until('nobody answers', async () => (await client.chat('m')).status === 503);
    // With another backend that the strategy can place requests in, that one has them all.
    const single = discoveredGroup('h', byPods().replace('{app: engine}', '{app: engine, single: "yes"}'));
    await cluster.mustKubectl(['label', 'pod', 'a-d0', 'single=yes', '-n', place.namespace]);
    await apply(single, byStrategy('KVAware', '[{name: g, weight: 95}, {name: h, weight: 5}]'));
    await until('the other backend answers', async () => (await client.chat('m')).status === 200);
    for (let i = 0; i < 10; i++) expect((await client.chat('m')).status).toBe(200);
    await untilSaid('rp', 'ResolvedRefs', 'False/UnsupportedInMode');
  });

  it('loses no request when topology, strategy and Pods change under traffic', async () => {
    await pods.run('a-p0', 'a-d0');
    await apply(paired(), byStrategy('Auto'));
    await untilReady('a-p0', 'a-d0');
    const statuses = new Map<number, number>();
    let over = false;
    const ask = async (): Promise<void> => {
      while (!over) {
        const { status } = await client.chat('m');
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    };
    const traffic = Array.from({ length: 4 }, ask);
    /** Answers since a change was in force, so that each state has had its share. */
    const enough = async (): Promise<void> => {
      const now = statuses.get(200) ?? 0;
      await until('requests are answered', () => (statuses.get(200) ?? 0) >= now + 20 || statuses.size > 1);
    };
    const inForce = (words: string) =>
      until(`${words} is in force`, async () => (await operator.table()).policies[0].effectiveProfile?.includes(words));
    try {
      await enough();
      await apply(paired('topology: {type: Aggregate}'));
      await inForce('scorer-auto');
      await enough();
      await apply(paired(topology('handover: Router, disaggregate: {type: Threshold, uncachedTokens: 1000}')));
      await inForce('scorer-pd-least-time');
      await enough();
      await apply(paired(), byStrategy('RandomPDBucket'));
      await inForce('picker-random-pd-bucket');
      await pods.run('b-p0', 'b-d0');
      await untilReady('a-p0', 'a-d0', 'b-p0', 'b-d0');
      await pods.terminate('a-p0');
      await pods.terminate('a-d0');
      await untilReady('b-p0', 'b-d0');
      await enough();
    } finally {
      over = true;
      await Promise.all(traffic);
    }
    expect([...statuses.keys()]).toEqual([200]);
  });

  it('sends requests to the leader of each group, which hands them over to the pair that it was told', async () => {
    await pods.run(...engines);
    for (const group of ['a', 'b']) {
      const leading = await leaderPlace(cluster);
      await new PairedPods(cluster, leading.namespace, fleet).run(`${group}-p0`, `${group}-d0`);
      const where = ['--pd-group', group, '--listen', fleet.address(`${group}-l`), '--target-port', String(fleet.port)];
      const leader = await LeaderProcess.start(leading, ['--allow-external-targets', ...where]);
      closed.push(leader);
      await leader.untilEngines(`${group}-p0`, `${group}-d0`);
    }
    await apply(paired(topology('handover: Leader')), byStrategy('PDKVAware'));
    await untilSaid('bg', 'Discovered', 'no leader');
    await pods.run('a-l', 'b-l');
    await untilReady('a-l', 'b-l', ...engines);
    const before = fleet.requests(...engines);
    for (let i = 0; i < 12; i++) expect((await client.chat('m', { seed: i })).status).toBe(200);
    const had = fleet.requests(...engines).map((count, i) => count - before[i]);
    expect([had[0], had[2]]).toEqual([had[1], had[3]]);
    expect(had[0] + had[2]).toBe(12);
    await until('the roles are in status', async () => {
      const { status } = await read(cluster, 'bg', place.namespace, 'g');
      const members = (status?.members ?? []) as { name: string; role?: string }[];
      return members.find(({ name }) => name === 'a-l')?.role === 'leader';
    });
  });
});

describe('epp', () => {
  let picker: PickerProcess;

  beforeEach(async () => {
    place = await pickerPlace(cluster);
    pods = new PairedPods(cluster, place.namespace, fleet);
  });

  /** A picker over a pool whose Pods are engines and, at addresses of engines since nobody is asked, leaders. */
  async function start(...texts: string[]): Promise<void> {
    await apply(inferencePool('pool', fleet.port), ...texts);
    await pods.run(...engines);
    picker = await PickerProcess.start(place.kubeconfig, [
      ...['--allow-external-targets', '--pool-name', 'pool', '--listen', '127.0.0.1:0'],
    ]);
    closed.push(picker);
    await picker.untilReady();
  }

  async function lead(): Promise<void> {
    for (const group of ['a', 'b']) {
      const leader = await LeaderProcess.start(place, [
        ...['--allow-external-targets', '--pd-group', group, '--target-port', String(fleet.port)],
        ...['--listen', fleet.address(`${group}-l`)],
      ]);
      closed.push(leader);
    }
    await pods.run('a-l', 'b-l');
    const all = [...engines, 'a-l', 'b-l'];
    await picker.untilMembers(Object.fromEntries(all.map((name) => [name, 'Ready'])));
  }

  const byPool = '{type: InferencePool, inferencePool: {name: pool}}';
  const poolPolicy = byStrategy('PDKVAware', '[{group: inference.networking.k8s.io, kind: InferencePool, name: pool}]');

  it.each<[string, string[]]>([
    [
      'a BackendGroup with topology PrefillDecode that discovers it',
      [paired(topology('handover: Leader'), byPool), byStrategy('PDKVAware')],
    ],
    ['nothing but the labels of its Pods', [poolPolicy]],
  ])('picks leaders of a pool and names them a pair of their group, told by %s', async (_how, texts) => {
    await start(...texts);
    await lead();
    const connection = await picker.connect();
    await until('the policy is in force', async () => (await ask(connection).answer())?.kind === 'requestHeaders');
    const leaders = new Map(['a', 'b'].map((group) => [fleet.address(`${group}-l`), group]));
    for (let i = 0; i < 20; i++) {
      const { endpoints, headers } = await pick(connection);
      const group = leaders.get(endpoints[0]);
      const set = Object.fromEntries(headers.set.map(({ name, value }) => [name, value]));
      expect(set).toMatchObject({
        'x-openfuyao-prefill-pod-address-port': fleet.address(`${group}-p0`),
        'x-openfuyao-decode-pod-address-port': fleet.address(`${group}-d0`),
      });
    }
  });

  it('cannot hand over itself, and says so', async () => {
    await start(paired(topology('handover: Router'), byPool), byStrategy('PDKVAware'));
    const said = async (): Promise<string> => {
      const { conditions: all } = await picker.table();
      const resolved = all.flatMap((one) => one.conditions).filter(({ type }) => type === 'ResolvedRefs');
      return resolved.map(({ reason, message }) => `${reason}: ${message}`).join();
    };
    await until('ResolvedRefs says so', async () => (await said()).includes('UnsupportedInMode')).catch(
      async (error: unknown) => {
        throw new Error(`${String(error)}; it says ${await said()}`);
      },
    );
    expect(await said()).toContain('handover: Leader');
    const connection = await picker.connect();
    expect((await ask(connection).refused()).status).toBe(503);
  });
});
