import { loadAll } from 'js-yaml';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../testkit/until.ts';
import { startCluster } from './kit/index.ts';
import { conditions, Operator, placeFor, read, type Place } from './testkit/operator.ts';
import { Pods } from './testkit/pods.ts';
import { discoveredGroup, policy } from './testkit/resources.ts';

/** Only said again after a minute, so only the slow suite waits for it. */
const slow = process.env.HERMES_TEST_SLOW === '1';
const cluster = startCluster();
let place: Place;

beforeAll(() => cluster.installCrds());
afterAll(() => cluster.close());
beforeEach((context) => cluster.needsOwn(context));

interface Role {
  readonly kind: string;
  readonly rules: readonly { readonly resources: readonly string[]; readonly verbs: readonly string[] }[];
}

/** `verb resource` of every right that `config/rbac` gives. */
async function granted(): Promise<string[]> {
  const rbac = new URL('../../../config/rbac', import.meta.url).pathname;
  const documents = loadAll(await cluster.mustKubectl(['kustomize', rbac])) as Role[];
  const rights = documents
    .filter(({ kind }) => kind.endsWith('Role'))
    .flatMap(({ rules }) =>
      rules.flatMap(({ resources, verbs }) => resources.flatMap((what) => verbs.map((verb) => `${verb} ${what}`))),
    );
  return [...new Set(rights)].sort();
}

const service = `
apiVersion: v1
kind: Service
metadata: {name: peers}
spec: {clusterIP: None, selector: {app: router}, ports: [{name: admin, port: 8081}]}
---
apiVersion: v1
kind: Service
metadata: {name: s, labels: {engine: vllm}}
spec: {selector: {app: engine}, ports: [{name: http, port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {token: canary-of-a-secret}
`;

describe('the rights in config/rbac', () => {
  it('are all used, and nothing else is asked for', async () => {
    place = await placeFor(cluster);
    const { namespace, kubeconfig } = place;
    const mark = cluster.markRequests();
    const operator = await Operator.ready({
      kubeconfig,
      flags: ['--peer-service', 'peers', '--status-interval', '1s'],
    });
    const withKey = discoveredGroup(
      'g',
      '{type: Service, service: {selector: {matchLabels: {engine: vllm}}, port: 80}}',
    );
    const texts = [
      service,
      `${withKey.trimEnd()}\n  connection: {apiKeySecretRef: {name: key, key: token}}\n`,
      discoveredGroup('h', '{type: InferencePool, inferencePool: {name: pool}}'),
      policy('p'),
    ];
    await cluster.apply(texts.join('---'), '-n', namespace);
    await new Pods(cluster, namespace).run({ name: 'a', ip: '10.99.0.21' });
    await until('the policy is programmed', async () => {
      return conditions(await read(cluster, 'rp', namespace, 'p')).Programmed === 'True/Programmed';
    });
    // A second version replaces the first one's revision.
    await cluster.apply(policy('p', '{backendRefs: [{name: g}], timeouts: {connect: 2s}}'), '-n', namespace);
    const bad =
      '{type: Profile, profile: {scorers: [{type: scorer-least-load, weight: 1, parameters: {no: 1}}], picker: {type: picker-min-random}}}';
    const user = `system:serviceaccount:${namespace}:hermes-router`;
    const used = (): string[] => [
      ...new Set(cluster.requests(mark, { user }).map(({ verb, resource }) => `${verb} ${resource}`)),
    ];
    await until('the old revision is deleted', () => used().includes('delete controllerrevisions'), 30_000);
    await cluster.apply(policy('p', `{backendRefs: [{name: g}], strategy: ${bad}}`), '-n', namespace);
    await until('it is refused', async () => {
      return conditions(await read(cluster, 'rp', namespace, 'p')).Accepted === 'False/InvalidParameters';
    });
    const rights = await granted();
    const wanted = slow ? rights : rights.filter((right) => right !== 'patch events');
    if (slow) {
      for (const good of ['{backendRefs: [{name: g}]}', `{backendRefs: [{name: g}], strategy: ${bad}}`]) {
        await cluster.apply(policy('p', good), '-n', namespace);
        await until('it is taken in', async () => 'Accepted' in conditions(await read(cluster, 'rp', namespace, 'p')));
      }
      await until('what was told is told again', () => used().includes('patch events'), 90_000);
    }
    await operator.kill();
    const refused = cluster.requests(mark, { user }).filter(({ code }) => code === 403 || code === 401);
    expect(refused).toEqual([]);
    expect(used().sort()).toEqual(wanted);
  }, 200_000);
});
