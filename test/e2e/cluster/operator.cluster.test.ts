import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { spawn } from 'node:child_process';
import { Client } from '../testkit/client.ts';
import { until } from '../testkit/until.ts';
import { startCluster } from './kit/index.ts';
import { enginesOn } from './testkit/engines.ts';
import { conditions, Operator, placeFor, quick, read, type Place } from './testkit/operator.ts';
import { policy, staticGroup } from './testkit/resources.ts';

const cluster = startCluster();
const engines = enginesOn(cluster, 2);
let place: Place;
let operator: Operator;
let client: Client;

beforeEach(async () => {
  place = await placeFor(cluster);
  operator = await Operator.ready({
    kubeconfig: place.kubeconfig,
    flags: quick,
  });
  client = new Client(operator.proxy);
});
afterEach(async () => {
  await client.close();
  await operator.kill();
});

const apply = (...texts: string[]) => cluster.apply(texts.join('---'), '-n', place.namespace);
const addresses = (): string[] => engines.map(({ address }) => address);
const policyConditions = async (name = 'p') => conditions(await read(cluster, 'rp', place.namespace, name));
const served = async (model = 'm'): Promise<number> => (await client.chat(model)).status;
/** `kubectl get rp -w`, and what it has shown so far. */
function watchPolicies(): { seen: () => string; end: () => void } {
  const args = ['get', 'rp', '-w', '-n', place.namespace, '--kubeconfig', cluster.kubeconfig];
  const watch = spawn(cluster.access.kubectl, args);
  let seen = '';
  watch.stdout.setEncoding('utf8').on('data', (text: string) => (seen += text));
  return { seen: () => seen, end: () => void watch.kill() };
}

const untilServed = (model = 'm') => until(`${model} is served`, async () => (await served(model)) === 200);

describe('the operator', () => {
  it('takes what is applied into force and tells so in status, columns and events', async () => {
    expect(await served()).toBe(404);
    await apply(staticGroup('g', addresses()), policy('p'));
    await untilServed();
    await until('the status says so', async () => {
      const said = await policyConditions();
      return said.Programmed === 'True/Programmed' && said;
    }).catch(async (error: unknown) => {
      throw new Error(
        `${String(error)} ${JSON.stringify(await read(cluster, 'rp', place.namespace, 'p'))} ${operator.process.stdout}`,
      );
    });
    expect(await policyConditions()).toEqual({
      Accepted: 'True/Accepted',
      ResolvedRefs: 'True/ResolvedRefs',
      Programmed: 'True/Programmed',
    });
    await until('the group is ready', async () => {
      const found = conditions(await read(cluster, 'bg', place.namespace, 'g'));
      return found.Ready === 'True/Ready' && found.Discovered === 'True/Discovered';
    });
    const watch = watchPolicies();
    for (let i = 0; i < 50; i++) await client.chat('m');
    await until('traffic and scores are in the status', async () => {
      const { status } = await read(cluster, 'rp', place.namespace, 'p');
      const { traffic, scores } = (status ?? {}) as {
        traffic?: { requestsPerMinute: number };
        scores?: { endpoints: unknown[] };
      };
      return (traffic?.requestsPerMinute ?? 0) >= 50 && scores?.endpoints.length === 2;
    });
    const header = /NAME\s+STRATEGY\s+BACKENDS\s+PROGRAMMED\s+REQ\/S\s+HIT\s+TTFT-P90\s+AGE/;
    await until('`kubectl get rp -w` shows the traffic', () =>
      /p\s+Auto\s+g 100%\s+True\s+0\.[0-9]/.test(watch.seen()),
    );
    watch.end();
    expect(watch.seen()).toMatch(header);
    const columns = await cluster.mustKubectl(['get', 'rp', '-n', place.namespace]);
    expect(columns).toMatch(header);
    expect(columns).toMatch(/p\s+Auto\s+g 100%\s+True\s+0\.[0-9]/);
    expect(await cluster.mustKubectl(['get', 'bg', '-n', place.namespace])).toMatch(/g\s+m\s+vLLM\s+Aggregate\s+2\s+2/);
    const events = await cluster.mustKubectl(['get', 'events', '-n', place.namespace]);
    expect(events).toMatch(/Normal\s+Accepted\s+routingpolicy\/p/);
  });

  it('follows edits and deletions within two seconds, as `kubectl get -w` shows', async () => {
    await apply(staticGroup('g', addresses()), policy('p'));
    await untilServed();
    const watch = watchPolicies();
    await apply(policy('p', '{backendRefs: [{name: g}], match: {models: [other]}, strategy: {type: Random}}'));
    await until('the old model is gone', async () => (await served()) === 404, 2000);
    await until('kubectl saw it', () => /p\s+Random\s+g 100%\s+True/.test(watch.seen()));
    watch.end();
    await cluster.mustKubectl(['delete', 'rp', 'p', '-n', place.namespace]);
    await until('the policy is gone', async () => (await operator.table()).policies.length === 0, 3500);
  });

  it('keeps the last good version of a policy that the API server takes and the router does not', async () => {
    await apply(staticGroup('g', addresses()), policy('p'));
    await untilServed();
    // Parameters of plugins are checked by the router only.
    const bad =
      '{type: Profile, profile: {scorers: [{type: scorer-least-load, weight: 1, parameters: {nonsense: 1}}], picker: {type: picker-min-random}}}';
    await apply(policy('p', `{backendRefs: [{name: g}], strategy: ${bad}}`));
    await until('it is refused', async () => (await policyConditions()).Accepted?.startsWith('False/'));
    expect((await policyConditions()).Programmed).toBe('False/LastGoodInForce');
    expect(await served()).toBe(200);
    const { status } = await read(cluster, 'rp', place.namespace, 'p');
    expect(status?.conditions?.find(({ type }) => type === 'Accepted')?.message).toContain('nonsense');
    const events = await cluster.mustKubectl(['get', 'events', '-n', place.namespace]);
    expect(events).toMatch(/Warning\s+Refused\s+routingpolicy\/p/);
    // It outlives the process, by a ControllerRevision that belongs to the policy.
    await operator.stop();
    operator = await Operator.ready({
      kubeconfig: place.kubeconfig,
      flags: ['--allow-external-targets'],
      name: 'replica-1',
    });
    await client.close();
    client = new Client(operator.proxy);
    expect(await served()).toBe(200);
    await apply(policy('p'));
    await until('it is accepted again', async () => (await policyConditions()).Accepted === 'True/Accepted');
  });

  it('tells a policy that an older one leaves it nothing, for as long as that is so', async () => {
    await apply(staticGroup('g', addresses()), policy('p', '{backendRefs: [{name: g}], match: {models: [m]}}'));
    await apply(policy('q', '{backendRefs: [{name: g}], match: {models: [m]}}'));
    await until('it is told', async () => (await policyConditions('q')).Accepted === 'False/Conflicted');
    expect((await policyConditions('p')).Accepted).toBe('True/Accepted');
    await cluster.mustKubectl(['delete', 'rp', 'p', '-n', place.namespace]);
    await until('it has its turn', async () => (await policyConditions('q')).Accepted === 'True/Accepted');
    expect(await served()).toBe(200);
  });

  it('refuses targets outside of the cluster unless it was told otherwise', async () => {
    await operator.stop();
    operator = await Operator.ready({ kubeconfig: place.kubeconfig, name: 'strict' });
    await apply(staticGroup('g', addresses()), policy('p'));
    await until('Discovered says why', async () => {
      const { status } = await read(cluster, 'bg', place.namespace, 'g');
      const discovered = status?.conditions?.find(({ type }) => type === 'Discovered');
      return discovered?.status === 'False' && discovered.message.includes('--allow-external-targets');
    });
  });
});
