// A group's leader on a real API server: with the rights of config/pd-proxy, whose engines come and go.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { get } from '../testkit/router.ts';
import { until } from '../testkit/until.ts';
import { comparedRights, grantedRights, startCluster } from './kit/index.ts';
import { LeaderProcess, leaderPlace, onLoopback } from './testkit/leader.ts';
import type { Place } from './testkit/operator.ts';
import { fleetOn, PairedPods } from './testkit/paired-pods.ts';
import { inferencePool } from './testkit/picker.ts';
import { Pods } from './testkit/pods.ts';

const cluster = startCluster();
const fleet = fleetOn(cluster, ['a-p0', 'a-d0', 'a-d1', 'b-p0', 'b-d0']);
const prefillHeader = 'x-openfuyao-prefill-pod-address-port';
const decodeHeader = 'x-openfuyao-decode-pod-address-port';
let place: Place;
let pods: PairedPods;
const leaders: LeaderProcess[] = [];

afterEach(async () => {
  for (const leader of leaders.splice(0)) await leader.close();
});

function kept(leader: LeaderProcess): LeaderProcess {
  leaders.push(leader);
  return leader;
}

async function placed(folder?: string): Promise<void> {
  place = await leaderPlace(cluster, folder);
  pods = new PairedPods(cluster, place.namespace, fleet);
}

const user = (): string => `system:serviceaccount:${place.namespace}:hermes-router-pd-proxy`;
const deployed = async (...flags: string[]): Promise<LeaderProcess> =>
  kept(await LeaderProcess.ofDeployment(cluster, place, fleet.port, flags));

describe('config/pd-proxy', () => {
  it('applies to any namespace, also where the strictest pod security rules', async () => {
    const namespace = await cluster.namespace();
    const label = (mode: string): string => `pod-security.kubernetes.io/${mode}=restricted`;
    await cluster.mustKubectl(['label', 'namespace', namespace, label('enforce'), label('warn')]);
    expect(await cluster.applyConfig('pd-proxy', namespace)).toMatchObject({ code: 0, stderr: '' });
    const name = 'deployment/hermes-router-pd-proxy';
    await cluster.mustKubectl(['wait', '--for=jsonpath={.status.replicas}=1', '--timeout=60s', '-n', namespace, name]);
    const found = await cluster.mustKubectl([
      ...['get', 'pods', '-n', namespace, '-l', 'openfuyao.com/pdRole=leader,openfuyao.com/pdGroupID=a', '-o', 'name'],
    ]);
    expect(found.trim().split('\n')).toHaveLength(1);
  });

  it('makes a leader for each group of a namespace, by the overlay that the guide shows', async () => {
    const namespace = await cluster.namespace();
    for (const id of ['b', 'c']) {
      const overlay = cluster.overlay('pd-proxy', namespace);
      const file = join(overlay, 'kustomization.yaml');
      const pairs = { app: 'qwen3-8b-pd', 'openfuyao.com/pdGroupID': id };
      const own = { nameSuffix: `-${id}`, labels: [{ pairs, includeSelectors: true }] };
      writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), ...own }));
      expect(await cluster.kubectl(['apply', '-k', overlay])).toMatchObject({ code: 0, stderr: '' });
    }
    for (const id of ['b', 'c']) {
      const labels = `app=qwen3-8b-pd,openfuyao.com/pdRole=leader,openfuyao.com/pdGroupID=${id}`;
      await until(`group ${id} has one leader`, async () => {
        const found = await cluster.mustKubectl(['get', 'pods', '-n', namespace, '-l', labels, '-o', 'name']);
        return new RegExp(`^pod/hermes-router-pd-proxy-${id}-\\S+\n$`).test(found);
      });
      const subject = '{.roleRef.name} {.subjects[0].name} {.subjects[0].namespace}';
      const name = `hermes-router-pd-proxy-${id}`;
      const args = ['get', 'rolebinding', name, '-n', namespace, '-o', `jsonpath=${subject}`];
      expect(await cluster.mustKubectl(args)).toBe(`${name} ${name} ${namespace}`);
    }
  });
});

describe('the leader of --pd-group', () => {
  beforeEach(() => placed());

  it('hands requests over to the Pods with its label, with no right but to read Pods', async (context) => {
    cluster.needsOwn(context);
    const since = cluster.markRequests();
    await pods.run('a-p0', 'a-d0', 'b-p0', 'b-d0');
    const leader = await (await deployed()).untilReady();
    await leader.untilEngines('a-p0', 'a-d0');
    const before = fleet.requests('a-p0', 'a-d0', 'b-p0', 'b-d0');
    const stream = await (await leader.client.stream('m')).drain();
    expect(stream.events.at(-1)).toBe('[DONE]');
    expect((await leader.client.chat('m')).status).toBe(200);
    const after = fleet.requests('a-p0', 'a-d0', 'b-p0', 'b-d0');
    expect(after.map((count, i) => count - before[i])).toEqual([2, 2, 0, 0]);
    const rights = () =>
      comparedRights(cluster.requests(since, { user: user() }), grantedRights(['pd-proxy/role.yaml']));
    await until('all rights are used', () => rights().unused.length === 0).catch(() => undefined);
    expect(rights()).toEqual({ unused: [], missing: [] });
    // Nor does it ask for what only a cluster with our CRDs has.
    const asked = cluster.requests(since, { user: user() }).map(({ resource }) => resource);
    expect([...new Set(asked)]).toEqual(['pods']);
  });

  it('follows its Pods as they come and go, and takes no address of others', async () => {
    await pods.run('a-p0', 'a-d0', 'b-p0', 'b-d0');
    const leader = await deployed();
    await leader.untilEngines('a-p0', 'a-d0');
    await until('the group is whole', async () => (await leader.health()).status === 200);
    await pods.run('a-d1');
    await leader.untilEngines('a-p0', 'a-d0', 'a-d1');
    const headers = { [prefillHeader]: fleet.address('a-p0'), [decodeHeader]: fleet.address('a-d1') };
    const [before] = fleet.requests('a-d1');
    for (let i = 0; i < 5; i++) expect((await leader.client.chat('m', {}, { headers })).status).toBe(200);
    expect(fleet.requests('a-d1')).toEqual([before + 5]);
    await pods.remove('a-d1');
    await leader.untilEngines('a-p0', 'a-d0');
    expect((await leader.client.chat('m', {}, { headers })).status).toBe(400);
    const foreign = { [prefillHeader]: fleet.address('b-p0'), [decodeHeader]: fleet.address('b-d0') };
    expect((await leader.client.chat('m', {}, { headers: foreign })).status).toBe(400);
  });

  it('calls itself ready and its group not whole where an engine is away, and serves with the others', async () => {
    await pods.run('a-p0', 'a-d0', 'a-d9');
    const leader = await (await deployed()).untilReady();
    const there = { 'a-p0': true, 'a-d0': true, 'a-d9': false };
    await until(`the engines are ${JSON.stringify(there)}`, async () => {
      const now = await leader.engines();
      return Object.entries(there).every(([name, ready]) => now[name] === ready);
    });
    const { status, text } = await leader.health();
    expect([status, JSON.parse(text)]).toEqual([
      500,
      expect.objectContaining({ prefill: { ready: 1, total: 1 }, decode: { ready: 1, total: 2 } }),
    ]);
    expect((await leader.client.chat('m')).status).toBe(200);
    expect((await get(`http://${leader.address}/health`)).status).toBe(500);
    await leader.untilReady();
  });

  it('goes on without the API server, and takes up what has changed when it is back', async (context) => {
    cluster.needsOwn(context);
    await pods.run('a-p0', 'a-d0');
    const leader = await deployed();
    await leader.untilEngines('a-p0', 'a-d0');
    await cluster.killApiServer();
    for (let i = 0; i < 10; i++) expect((await leader.client.chat('m')).status).toBe(200);
    await leader.untilReady();
    await cluster.startApiServer();
    await pods.run('a-d1');
    await leader.untilEngines('a-p0', 'a-d0', 'a-d1');
    await pods.remove('a-d0');
    await leader.untilEngines('a-p0', 'a-d1');
    expect((await leader.client.chat('m')).status).toBe(200);
  });
});

describe('the leader of --selector', () => {
  it('leads every group that the selector finds, and never pairs across them', async () => {
    await placed();
    await pods.run('a-p0', 'a-d0', 'b-p0', 'b-d0');
    await new Pods(cluster, place.namespace).run({ name: 'else', ip: fleet.ip('else'), labels: { app: 'other' } });
    const flags = [...onLoopback, '--selector', 'app=engine', '--target-port', String(fleet.port)];
    const leader = kept(await LeaderProcess.start(place, flags));
    await leader.untilEngines('a-p0', 'a-d0', 'b-p0', 'b-d0');
    const before = fleet.requests('a-p0', 'a-d0', 'b-p0', 'b-d0');
    for (let i = 0; i < 20; i++) expect((await leader.client.chat('m')).status).toBe(200);
    const [ap, ad, bp, bd] = fleet.requests('a-p0', 'a-d0', 'b-p0', 'b-d0').map((count, i) => count - before[i]);
    expect([ap, bp, ap + bp]).toEqual([ad, bd, 20]);
    const across = { [prefillHeader]: fleet.address('a-p0'), [decodeHeader]: fleet.address('b-d0') };
    expect((await leader.client.chat('m', {}, { headers: across })).status).toBe(400);
  });
});

describe('the leader of --backend-group', () => {
  beforeEach(() => placed('pd-proxy-backend-group'));

  const group = (name: string, discovery: string, spec = ''): string => `
apiVersion: hermes-router.io/v1alpha1
kind: BackendGroup
metadata: {name: ${name}}
spec:
  models: [m]
  metrics: {interval: 200ms}
  health: {interval: 500ms, failures: 1}
  discovery: ${discovery}
  topology: {type: PrefillDecode}
  ${spec}
`;
  const service = '{type: Service, service: {name: engines, port: 80}}';
  const pool = '{type: InferencePool, inferencePool: {name: pool}}';
  const byPods = (): string =>
    `{type: Pods, pods: {selector: {matchLabels: {app: engine}}, targetPorts: [{number: ${fleet.port}}]}}`;
  const apply = (...texts: string[]) => cluster.apply(texts.join('---'), '-n', place.namespace);

  it('reads it and what it names with the rights of its role, every one of them', async (context) => {
    cluster.needsOwn(context);
    const since = cluster.markRequests();
    const rights = () => {
      const granted = grantedRights(['pd-proxy/role.yaml', 'pd-proxy-backend-group/role.yaml']);
      return comparedRights(cluster.requests(since, { user: user() }), granted);
    };
    await pods.run('a-p0', 'a-d0', 'b-p0', 'b-d0');
    const key = '{apiVersion: v1, kind: Secret, metadata: {name: key}, stringData: {token: secret}}\n';
    const keyed = 'connection: {apiKeySecretRef: {name: key, key: token}}';
    await apply(key, group('qwen3-8b-pd', byPods(), keyed), group('other', byPods()));
    const leader = await (await deployed()).untilReady();
    await leader.untilEngines('a-p0', 'a-d0');
    expect((await leader.client.chat('m')).status).toBe(200);
    await apply(group('qwen3-8b-pd', service));
    await until('Services are read', () => !rights().unused.some((right) => right.includes('services')));
    await apply(inferencePool('pool', fleet.port), group('qwen3-8b-pd', pool));
    // The pool holds two groups, and the leader leads one of them.
    await leader.untilEngines('a-p0', 'a-d0');
    await leader.close();
    // Refused by the leader and not by the API server: its last good version is looked for.
    const outside = 'kvCache: {type: Manager, manager: {url: "http://10.0.0.1:1"}}';
    await apply(group('qwen3-8b-pd', pool, outside));
    kept(await LeaderProcess.start(place, ['--backend-group', 'qwen3-8b-pd']));
    await until('all rights are used', () => rights().unused.length === 0).catch(() => undefined);
    expect(rights()).toEqual({ unused: [], missing: [] });
  });

  it('is not ready while there is no such group, says so, and goes on with the last one it had', async () => {
    await pods.run('a-p0', 'a-d0');
    const leader = await deployed();
    const reason = () => leader.readiness();
    const missing = 'no BackendGroup with topology PrefillDecode is called qwen3-8b-pd';
    await until('it says what is missing', async () => (await reason()).text.includes(missing));
    expect((await leader.client.chat('m')).status).toBeGreaterThanOrEqual(400);
    await apply(group('qwen3-8b-pd', byPods()));
    await leader.untilEngines('a-p0', 'a-d0');
    await leader.untilReady();
    await cluster.mustKubectl(['delete', 'bg', 'qwen3-8b-pd', '-n', place.namespace]);
    await until('it says what is missing', async () => (await reason()).text.includes(missing));
    expect((await leader.client.chat('m')).status).toBe(200);
  });
});
