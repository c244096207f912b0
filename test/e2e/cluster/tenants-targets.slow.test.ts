import { randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client } from '../testkit/client.ts';
import { until } from '../testkit/until.ts';
import { startCluster } from './kit/index.ts';
import { Operator } from './testkit/operator.ts';
import { Pods } from './testkit/pods.ts';
import { policy } from './testkit/resources.ts';
import { Tenancy, Trap, type Tenant } from './testkit/tenant.ts';

/** One router for a cluster of tenants: what one of them may write in his namespace leads it nowhere. */
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

describe('what a tenant makes the router reach', () => {
  let operator: Operator;
  let trap: Trap;
  const folder = mkdtempSync(join(tmpdir(), 'hermes-tenants-'));
  const keyFile = join(folder, 'prefix-key');
  const preload = new URL('testkit/hostile-dns.ts', import.meta.url).href;
  const start = (name: string, ...flags: string[]): Promise<Operator> =>
    Operator.ready({
      kubeconfig: kubeconfig,
      name,
      flags: ['--all-namespaces', '--status-interval', '1s', '--prefix-key-file', keyFile, ...flags],
      env: { NODE_OPTIONS: `--import=${preload}` },
    });

  beforeAll(async () => {
    writeFileSync(keyFile, randomBytes(32), { mode: 0o600 });
    trap = await Trap.set();
    const pods = [new Pods(cluster, owner.namespace), new Pods(cluster, thief.namespace)];
    await pods[0].run({ name: 'engine', ip: '10.99.61.1', labels: { app: 'theirs' } });
    await pods[1].run({ name: 'engine', ip: '10.99.61.2', labels: { app: 'mine' } });
    await thief.apply(
      service('mine', 'selector: {app: mine}'),
      service('outside', 'type: ExternalName\n  externalName: localhost'),
      service('by-hand'),
    );
    operator = await start('replica-3');
  });
  afterAll(async () => {
    await operator.kill();
    await trap.close();
  });

  const service = (name: string, spec = ''): string =>
    `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec:\n  ports: [{name: http, port: 8000}]\n  ${spec}\n`;
  const group = (name: string, spec: string): string =>
    `apiVersion: hermes-router.io/v1alpha1\nkind: BackendGroup\nmetadata: {name: ${name}}\nspec:\n  models: [${name}]\n  ${spec}\n`;
  const behind = (name: string): string => `discovery: {type: Service, service: {name: ${name}, port: 8000}}`;
  const mine = 'discovery: {type: Pods, pods: {selector: {matchLabels: {app: mine}}, targetPorts: [{number: 8000}]}}';
  const slice = (name: string, of: string, endpoint: string, type = 'IPv4'): string =>
    `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: ${name}, labels: {kubernetes.io/service-name: ${of}}}\n` +
    `addressType: ${type}\nports: [{name: http, port: 8000}]\nendpoints: [${endpoint}]\n`;
  const membersOf = async (name: string): Promise<string[]> => {
    const { groups } = await operator.table();
    const found = groups.find((one) => one.group === `${thief.namespace}/${name}`);
    return found?.members.map(({ address }) => address) ?? [];
  };

  it.each([
    ['loopback', '127.0.0.1', 'IPv4'],
    ['link-local, as cloud metadata is', '169.254.169.254', 'IPv4'],
    ['multicast', '224.0.0.1', 'IPv4'],
    ['unspecified', '0.0.0.0', 'IPv4'],
    ['loopback of IPv6', '::1', 'IPv6'],
    ['loopback of IPv4 in IPv6', '::ffff:127.0.0.1', 'IPv6'],
    ['link-local of IPv6', 'fe80::1', 'IPv6'],
  ])('is no %s address, which the API server takes in no slice', async (_what, address, type) => {
    const { code, stderr } = await thief.tryToApply(slice('odd', 'mine', `{addresses: ["${address}"]}`, type));
    expect([code, stderr]).toEqual([1, expect.stringContaining('EndpointSlice')]);
  });

  it('is no address that he says his Pod has: that is its kubelet’s word', async () => {
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'liar', labels: { app: 'liar' } } };
    const spec = { containers: [{ name: 'c', image: 'i' }] };
    await thief.apply(JSON.stringify({ ...pod, spec, status: { podIP: '127.0.0.1', podIPs: [{ ip: '127.0.0.1' }] } }));
    const patch = await thief.kubectl(
      'patch',
      'pod',
      'liar',
      '--subresource=status',
      '--type=merge',
      '-p',
      '{"status": {"podIP": "127.0.0.1"}}',
    );
    expect([patch.code, patch.stderr]).toEqual([1, expect.stringContaining('cannot patch resource')]);
    await thief.apply(group('liar', mine.replace('app: mine', 'app: liar').replace('8000', String(trap.port))));
    await thief.untilSaid('bg', 'liar', { Discovered: 'False/NoMatch' });
    const said = (): Promise<string> => thief.messageOf('bg', 'liar', 'Discovered');
    await until('it is told', async () => (await said()).includes('none runs and has an address'));
  });

  it.each([
    [
      'Static endpoint',
      'discovery: {type: Static, static: {endpoints: [{name: e, address: "127.0.0.1:PORT"}]}}',
      'discovery Static is allowed in a cluster with --allow-external-targets only',
    ],
    ['Service that is a name for another', behind('outside'), 'is an ExternalName'],
    ['Service whose endpoints are written by hand', behind('by-hand'), 'has no selector'],
  ])('is no %s', async (_what, discovery, message) => {
    await thief.apply(slice('hand', 'by-hand', '{addresses: ["10.99.61.1"]}'));
    await thief.apply(group('reaching', discovery.replace('PORT', String(trap.port))));
    await until('it is told', async () => (await thief.messageOf('bg', 'reaching', 'Discovered')).includes(message));
    expect(await membersOf('reaching')).toEqual([]);
    expect((await thief.saidOf('bg', 'reaching')).Discovered).toBe('False/NoMatch');
    await thief.delete('bg', 'reaching');
  });

  const pod = (namespace: string): string =>
    `{addresses: ["10.99.61.1"], targetRef: {kind: Pod, name: engine, namespace: ${namespace}}}`;
  it.each([
    ['by its address', () => '{addresses: ["10.99.61.1"]}', 'IPv4'],
    ['as if it were a Pod of his', () => pod(thief.namespace), 'IPv4'],
    ['by its name, in its namespace', () => pod(owner.namespace), 'IPv4'],
    ['by a host name', () => '{addresses: [engine.example.org]}', 'FQDN'],
  ])(
    'is no engine of another namespace that he writes into a slice of his Service %s',
    async (_way, endpoint, type) => {
      await thief.apply(slice('hand', 'mine', endpoint(), type), group('mine', behind('mine')));
      await until('it is told', async () =>
        (await thief.messageOf('bg', 'mine', 'Discovered')).includes('an EndpointSlice of the Service mine names'),
      );
      expect(await membersOf('mine')).toEqual(['10.99.61.2:8000']);
      await thief.delete('endpointslice', 'hand');
      await thief.delete('bg', 'mine');
    },
  );

  it('is no Endpoints by hand, which become slices of a Service without a selector', async () => {
    const endpoints = { apiVersion: 'v1', kind: 'Endpoints', metadata: { name: 'by-hand' }, subsets: [{ addresses: [{ ip: '10.99.61.1' }], ports: [{ name: 'http', port: 8000 }] }] }; // prettier-ignore
    await thief.apply(JSON.stringify(endpoints), group('hand', behind('by-hand')));
    await thief.untilSaid('bg', 'hand', { Discovered: 'False/NoMatch' });
    expect(await membersOf('hand')).toEqual([]);
  });

  it.each([
    [
      'KV manager by URL',
      'kvCache: {type: Manager, manager: {url: "http://127.0.0.1:PORT"}}',
      'spec.kvCache.manager.url',
    ],
    [
      'prefix store by address',
      'kvCache: {type: Approximate, prefixStore: {type: Redis, redis: {address: "127.0.0.1:PORT"}}}',
      'spec.kvCache.prefixStore.redis.address',
    ],
  ])('is no %s', async (_what, kvCache, field) => {
    await thief.apply(group('direct', `${mine}\n  ${kvCache.replace('PORT', String(trap.port))}`));
    await thief.untilSaid('bg', 'direct', { Accepted: 'False/Invalid' });
    expect(await thief.messageOf('bg', 'direct', 'Accepted')).toContain(field);
    await thief.delete('bg', 'direct');
  });

  const store = () =>
    group(
      'sharing',
      `${mine}\n  kvCache: {type: Approximate, prefixStore: {type: Redis, redis: {service: {name: outside, port: ${trap.port}}}}}`,
    );
  const asking = () =>
    group(
      'asking',
      `${mine}\n  kvCache: {type: Manager, manager: {service: {name: outside, port: ${trap.port}}, timeout: 1s}}`,
    );
  const ask = async (): Promise<void> => {
    const client = new Client(operator.proxy);
    await client.chat('asking').catch(() => undefined);
    await client.close();
  };

  it('is no prefix store behind a name for another', async () => {
    await thief.apply(store());
    await until(
      'it is told',
      async () =>
        (await thief.messageOf('bg', 'sharing', 'CacheKnown')).includes('is an ExternalName') ||
        (await thief.messageOf('bg', 'sharing', 'CacheKnown')).includes('leads to 127.0.0.1'),
    );
    await thief.delete('bg', 'sharing');
  });

  it('is no KV manager behind a name for another', async () => {
    await thief.apply(asking(), policy('asking', '{backendRefs: [{name: asking}], strategy: {type: KVAware}}'));
    await until('it is told in the log', async () => {
      await ask();
      return operator.process.stdout.includes('a KV manager is not where its Service may be');
    });
  });

  it('is nothing, of all that: nobody has come to what listens on loopback', () => {
    expect(trap.reached).toBe(0);
  });

  it('would be all that with --allow-external-targets: the traps of this suite do catch', async () => {
    await operator.kill();
    operator = await start('replica-4', '--allow-external-targets');
    await thief.apply(store());
    await until('the store is sought there', () => trap.reached > 0);
    const before = trap.reached;
    await thief.delete('bg', 'sharing');
    await until('the manager is sought there', async () => {
      await ask();
      return trap.reached > before + 3;
    });
  });
});
