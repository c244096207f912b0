import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  chart,
  ClientPod,
  engines,
  list,
  rolledOut,
  startCluster,
  strictNamespace,
  until,
  withCrds,
} from './kit/index.ts';

const cluster = startCluster();
const classes = ['blue', 'green'] as const;
let namespace: string;
let client: ClientPod;

/** Engines, a group and a policy of one class; the model is called as the class. */
function resources(name: string): object[] {
  const own = { apiVersion: 'hermes-router.io/v1alpha1', metadata: { name } };
  const pods = { selector: { matchLabels: { model: name } }, targetPorts: [{ number: 8000 }] };
  return [
    engines({ name, replicas: 1, model: name, labels: { model: name } }),
    { ...own, kind: 'BackendGroup', spec: { routerClassName: name, discovery: { type: 'Pods', pods } } },
    { ...own, kind: 'RoutingPolicy', spec: { routerClassName: name, backendRefs: [{ name }] } },
  ];
}

const url = (name: string): string => `http://${name}-hermes-router`;
const statusOf = async (release: string, model: string): Promise<number> =>
  (await client.chat(url(release), model)).status;

beforeAll(async () => {
  await withCrds(cluster);
  namespace = await strictNamespace(cluster);
  client = await ClientPod.start(cluster, namespace);
  await cluster.apply(list(...classes.flatMap(resources)), '-n', namespace);
  for (const name of classes)
    await cluster.mustHelm(
      'install',
      name,
      chart('hermes-router'),
      '-n',
      namespace,
      '--set',
      `routerClass=${name},replicas=1`,
    );
  await rolledOut(cluster, namespace, ...classes.map((name) => `${name}-hermes-router`), ...classes);
});
afterAll(() => cluster.close());

describe('two releases of different router classes in one namespace', () => {
  it.each(classes)('%s serves what is of its class, and nothing else', async (name) => {
    await client.answered(url(name), name);
    const other = name === 'blue' ? 'green' : 'blue';
    expect(await statusOf(name, other)).toBe(404);
  });

  it('write the status of their own resources', async () => {
    for (const name of classes)
      await cluster.mustKubectl(['wait', '-n', namespace, '--for=condition=Programmed', '--timeout=60s', `rp/${name}`]);
  });

  it('go one by one: what is left of the other goes on', async () => {
    await client.startLoad(url('green'), 'green', 4);
    await cluster.mustHelm('uninstall', 'blue', '-n', namespace, '--wait');
    // Its pods end what is under way first.
    const answers = (): Promise<boolean> =>
      client.chat(url('blue'), 'blue').then(
        () => true,
        () => false,
      );
    await until('blue is gone', async () => !(await answers()), 60_000);
    await until('it flows', async () => (await client.report()).done > 10);
    expect(await client.stopLoad()).toMatchObject({ faults: [] });
    await cluster.mustKubectl(['annotate', '-n', namespace, 'rp/green', 'touched=yes']);
    expect(await statusOf('green', 'green')).toBe(200);
  });
});
