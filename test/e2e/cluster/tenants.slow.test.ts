import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client } from '../testkit/client.ts';
import { ScriptedEngine } from '../testkit/engine.ts';
import { until } from '../testkit/until.ts';
import { startCluster } from './kit/index.ts';
import { Operator, quick } from './testkit/operator.ts';
import { policy, staticGroup } from './testkit/resources.ts';
import { Tenancy, type Tenant } from './testkit/tenant.ts';

/** One router for a cluster of tenants: what one of them may write in his namespace takes nothing from another. */
const cluster = startCluster();
const tenancy = new Tenancy(cluster);
let kubeconfig: string;
let owner: Tenant;
let thief: Tenant;

beforeAll(async () => {
  await cluster.installCrds();
  ({ kubeconfig, owner, thief } = await tenancy.open());
});
afterAll(() => tenancy.close());

const matching = (models: string, backend: string, more = ''): string =>
  `{match: {models: ${models}${more}}, backendRefs: [{name: ${backend}}]}`;

/** Times of creation are whole seconds: what comes after this is younger than what was there before. */
async function nextSecond(): Promise<void> {
  const second = (): number => Math.floor(Date.now() / 1000);
  const began = second();
  await until('the next second', () => second() > began);
}

describe('a model of another namespace', () => {
  let operator: Operator;
  let client: Client;
  let ownEngine: ScriptedEngine;
  let thiefsEngine: ScriptedEngine;

  const start = async (name: string): Promise<void> => {
    operator = await Operator.ready({ kubeconfig: kubeconfig, name, flags: [...quick, '--all-namespaces'] });
    client = new Client(operator.proxy);
  };

  beforeAll(async () => {
    // What a thief calls his models an engine of his tells: m, too, as a model and as an adapter.
    [ownEngine, thiefsEngine] = await Promise.all([ScriptedEngine.start(['m']), ScriptedEngine.start(['m', 'mine'])]);
    await start('replica-0');
    const { address } = thiefsEngine;
    await thief.apply(
      staticGroup('theirs', [address], 'models: [m, mine]'),
      staticGroup('learning', [address], 'engine: vLLM'),
      staticGroup('old-group', [address], 'models: [older]'),
      policy('old', matching('[old]', 'theirs')),
      policy('old-glob', matching('[old-too]', 'theirs')),
      policy('old-open', '{backendRefs: [{name: old-group}]}'),
      policy('old-class', `{routerClassName: other, ${matching('[m]', 'theirs').slice(1)}`),
    );
    await thief.untilSaid('rp', 'old-open', { Programmed: 'True/Programmed' });
    await nextSecond();
    await owner.apply(staticGroup('g', [ownEngine.address], 'models: [m]'), policy('p', matching('[m]', 'g')));
    await owner.untilSaid('rp', 'p', { Accepted: 'True/Accepted', Programmed: 'True/Programmed' });
    await until('m is served', async () => (await client.chat('m')).status === 200);
    await nextSecond();
  });
  afterAll(async () => {
    await client.close();
    await operator.stop();
    await Promise.all([ownEngine.close(), thiefsEngine.close()]);
  });

  /** Requests for m, with whatever a thief may have asked for in headers. */
  async function expectStillTheOwners(): Promise<void> {
    const before = ownEngine.seen.length;
    const stolen = thiefsEngine.seen.length;
    for (let i = 0; i < 5; i++) {
      const { status } = await client.chat('m', {}, { headers: { 'x-tier': 'gold' } });
      expect(status).toBe(200);
    }
    expect([ownEngine.seen.length - before, thiefsEngine.seen.length - stolen]).toEqual([5, 0]);
    expect((await owner.saidOf('rp', 'p')).Accepted).toBe('True/Accepted');
  }

  const nothing = 'False/ModelClaimedElsewhere';
  const part = 'True/ModelClaimedElsewhere';
  const learned = { Accepted: part };
  const attempts: [string, string, Record<string, string>][] = [
    ['by its name', matching('[m]', 'theirs'), { Accepted: nothing }],
    ['by a prefix of its name', matching('["m*"]', 'theirs'), { Accepted: part }],
    ['by a star', matching('["*"]', 'theirs'), { Accepted: part }],
    ['by its name and a header', matching('[m]', 'theirs', ', headers: [{name: x-tier, value: gold}]'), { Accepted: nothing }],
    ['by a group that declares it', '{backendRefs: [{name: theirs}]}', { Accepted: part }],
    ['by an engine that says it serves it, as a model or an adapter', '{backendRefs: [{name: learning}]}', learned],
    ['by the other’s group, which is none of this namespace', matching('[m]', 'g'), { ResolvedRefs: 'False/BackendGroupNotFound' }],
    ['by an InferencePool', '{match: {models: [m]}, backendRefs: [{kind: InferencePool, name: pool}]}', { Accepted: nothing }],
    ['by a policy that is never valid', `{match: {models: [m]}, backendRefs: [{name: theirs}], strategy: ${invalid()}}`, { Programmed: 'False/Pending' }],
  ]; // prettier-ignore

  it.each(attempts)('is not to be had %s', async (_way, spec, wanted) => {
    await thief.apply(policy('taker', spec));
    await thief.untilSaid('rp', 'taker', wanted);
    await expectStillTheOwners();
    await thief.delete('rp', 'taker');
  });

  it('is not to be had by calling one’s own by its name: a rewrite leads to nobody but oneself', async () => {
    const spec = '{match: {models: [mine]}, backendRefs: [{name: theirs, rewriteModel: m}]}';
    await thief.apply(policy('taker', spec));
    await until('mine is served', async () => (await client.chat('mine')).status === 200);
    expect(JSON.parse(thiefsEngine.last.body)).toMatchObject({ model: 'm' });
    await expectStillTheOwners();
    await thief.delete('rp', 'taker');
  });

  it('is not to be had by deleting a policy and making it again: it is younger for that', async () => {
    await thief.apply(policy('taker', matching('[m]', 'theirs')));
    await thief.untilSaid('rp', 'taker', { Accepted: nothing });
    await thief.delete('rp', 'taker');
    await thief.apply(policy('taker', matching('[m]', 'theirs')));
    await thief.untilSaid('rp', 'taker', { Accepted: nothing });
    await expectStillTheOwners();
    await thief.delete('rp', 'taker');
  });

  it('is not to be had by a policy that is older and names it only now', async () => {
    await thief.apply(policy('old', matching('[old, m]', 'theirs')));
    await thief.untilSaid('rp', 'old', { Accepted: part });
    await expectStillTheOwners();
    await thief.apply(policy('old-glob', matching('["*"]', 'theirs')));
    await thief.untilSaid('rp', 'old-glob', { Accepted: part });
    await expectStillTheOwners();
    // A star claims what nobody has claimed yet, too.
    await thief.apply(policy('old-glob', matching('[old-too]', 'theirs')));
  });

  it('is not to be had by a group that is older and declares it only now', async () => {
    await thief.apply(staticGroup('old-group', [thiefsEngine.address], 'models: [older, m]'));
    await thief.untilSaid('rp', 'old-open', { Accepted: part });
    await expectStillTheOwners();
  });

  it('is not to be had by an older policy that comes over from another class', async () => {
    await thief.apply(policy('old-class', matching('[m]', 'theirs')));
    await thief.untilSaid('rp', 'old-class', { Accepted: nothing });
    await expectStillTheOwners();
  });

  it('stays its owner’s over a restart, when all that is known is what the API server has', async () => {
    await client.close();
    await operator.stop();
    await start('replica-1');
    await expectStillTheOwners();
    // What was the thief's before is his still.
    expect((await client.chat('old')).status).toBe(200);
  });

  it('has no older date for whoever may write policies: its date stands in what he may not write', async () => {
    const patch = ['--subresource=status', '--type=merge', '-p', '{"status": {"claims": []}}'];
    const denied = await thief.kubectl('patch', 'rp', 'old', ...patch);
    expect(denied.stderr).toMatch(/cannot (get|patch) resource "routingpolicies\/status"/);
    const revision = { apiVersion: 'apps/v1', kind: 'ControllerRevision', metadata: { name: 'x' }, revision: 1 };
    const forged = await thief.tryToApply(JSON.stringify(revision));
    expect([forged.code, forged.stderr]).toEqual([1, expect.stringContaining('forbidden')]);
    const other = await cluster.kubectl(['get', 'rp', 'p', '-n', owner.namespace], {
      kubeconfig: kubeconfig,
    });
    expect(other.code).toBe(1);
  });

  it('keeps its engine’s key to itself: a Secret of another namespace is none', async () => {
    const secret = 'apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {token: the-owners-key}\n';
    await owner.apply(secret);
    const spec = 'models: [keyed]\n  connection: {apiKeySecretRef: {name: key, key: token}}';
    await owner.apply(staticGroup('keyed', [ownEngine.address], spec.replace('keyed', 'own-keyed')));
    await owner.apply(policy('keyed', '{backendRefs: [{name: keyed}]}'));
    await thief.apply(
      staticGroup('keyed', [thiefsEngine.address], spec),
      policy('keyed', '{backendRefs: [{name: keyed}]}'),
    );
    await until('both are served', async () => {
      const answers = await Promise.all(['own-keyed', 'keyed'].map((model) => client.chat(model)));
      return answers.every(({ status }) => status === 200) && ownEngine.last.headers.authorization !== undefined;
    });
    expect(ownEngine.last.headers.authorization).toBe('Bearer the-owners-key');
    expect(thiefsEngine.last.headers.authorization).toBeUndefined();
    const named = await thief.tryToApply(
      staticGroup('far', [thiefsEngine.address], spec.replace('name: key,', `name: ${owner.namespace}/key,`)),
    );
    expect([named.code, named.stderr]).toEqual([1, expect.stringContaining('Invalid value')]);
    expect(JSON.stringify(thiefsEngine.seen)).not.toContain('the-owners-key');
  });

  it('is told about without delay while another changes many policies at a time', async () => {
    const path = `/apis/hermes-router.io/v1alpha1/namespaces/${thief.namespace}/routingpolicies`;
    const names = Array.from({ length: 150 }, (_, i) => `many-${i}`);
    // By the API, since kubectl would take as long as the router.
    const made = names.map((name) =>
      cluster.api('POST', path, policy(name, matching(`[${name}]`, 'theirs')), 'application/yaml'),
    );
    expect(new Set((await Promise.all(made)).map(({ status }) => status))).toEqual(new Set([201]));
    await owner.apply(policy('prompt', matching('[prompt]', 'g')));
    // In the order of their arrival it would be the last after half a minute.
    await owner.untilSaid('rp', 'prompt', { Accepted: 'True/Accepted' }, 10_000);
    const told = await Promise.all(names.map((name) => thief.saidOf('rp', name)));
    expect(told.filter(({ Accepted }) => Accepted === undefined).length).toBeGreaterThan(0);
    await expectStillTheOwners();
    await Promise.all(names.map((name) => cluster.api('DELETE', `${path}/${name}`)));
  });

  it('keeps its slots and its probes when another names more endpoints than there is room for', async () => {
    const addresses = Array.from({ length: 256 }, (_, i) => `127.0.0.1:${2 + i}`);
    const many = Array.from({ length: 65 }, (_, i) => staticGroup(`many-${i}`, addresses, 'models: [many]'));
    await thief.apply(...many);
    await thief.untilSaid('bg', 'many-64', { Discovered: 'False/SlotsExhausted' }, 60_000);
    await owner.apply(
      staticGroup('late', [ownEngine.address], 'models: [late]'),
      policy('late', '{backendRefs: [{name: late}]}'),
    );
    await until('who comes late is served', async () => (await client.chat('late')).status === 200);
    await owner.untilSaid('bg', 'late', { Discovered: 'True/Discovered', Ready: 'True/Ready' }, 60_000);
    await owner.untilSaid('bg', 'g', { Discovered: 'True/Discovered', Ready: 'True/Ready' }, 60_000);
    await expectStillTheOwners();
  });
});

function invalid(): string {
  return '{type: Profile, profile: {scorers: [{type: scorer-least-load, weight: 1, parameters: {nonsense: 1}}], picker: {type: picker-min-random}}}';
}

describe('names that nobody has claimed yet', () => {
  const guide = readFileSync(new URL('../../../docs/guides/security.md', import.meta.url), 'utf8');
  const admission = /^```yaml\n(apiVersion: admissionregistration[\s\S]*?)^```/m.exec(guide)?.[1] ?? '';
  const kinds = ['validatingadmissionpolicy', 'validatingadmissionpolicybinding'];
  const denied = async (text: string): Promise<string> => (await thief.tryToApply(text)).stderr;
  const ofOthers = 'a model is not one of this namespace';

  beforeAll(async () => {
    await cluster.apply(admission);
    await cluster.mustKubectl(['label', 'namespace', thief.namespace, 'hermes-tenant=yes']);
    await cluster.mustKubectl(['annotate', 'namespace', thief.namespace, 'hermes-models=thief/,shared-']);
  });
  afterAll(async () => {
    for (const kind of kinds) await cluster.mustKubectl(['delete', kind, 'hermes-models']);
    await cluster.mustKubectl(['label', 'namespace', thief.namespace, 'hermes-tenant-']);
  });

  it('are not for everybody where the guide’s admission policy says whose they are', async () => {
    await until('it is in force', async () =>
      (await denied(policy('taker', matching('["*"]', 'g')))).includes(ofOthers),
    );
    for (const models of ['[m]', '["thief*"]', '[shared]', '[thief/a, other]'])
      expect(await denied(policy('taker', matching(models, 'g')))).toContain(ofOthers);
    expect(await denied(staticGroup('taker', ['10.0.0.1:1'], 'models: [m]'))).toContain(ofOthers);
    expect(await denied(staticGroup('taker', ['10.0.0.1:1'], 'engine: vLLM'))).toContain(
      'a group must name its models',
    );
    await thief.apply(staticGroup('allowed', ['10.0.0.1:1'], 'models: [thief/a]'));
    await thief.apply(
      policy('allowed', matching('["thief/*", shared-b]', 'allowed')),
      policy('open', '{backendRefs: [{name: allowed}]}'),
    );
    for (const name of ['allowed', 'open']) await thief.delete('rp', name);
    await owner.apply(policy('starred', matching('[starred]', 'g')));
    await owner.delete('rp', 'starred');
  });
});

describe('a router for other namespaces than one’s own', () => {
  it('reads nothing of a namespace that it was not told to serve', async () => {
    const flags = ['--namespaces', `${tenancy.namespace},${owner.namespace}`, '--status-interval', '1s'];
    const operator = await Operator.ready({ kubeconfig: kubeconfig, name: 'replica-2', flags });
    await thief.apply(policy('unread', matching('[unread]', 'theirs')));
    await owner.apply(policy('own', matching('[own]', 'g')));
    await owner.untilSaid('rp', 'own', { Accepted: 'True/Accepted' });
    expect(await thief.saidOf('rp', 'unread')).toEqual({});
    const { policies } = await operator.table();
    expect(policies.map(({ policy: key }) => key.split('/')[0])).not.toContain(thief.namespace);
    await operator.stop();
    await thief.delete('rp', 'unread');
  });
});
