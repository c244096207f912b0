import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Load } from './testkit/load.ts';
import { group, policy, type Document } from './testkit/manifests.ts';
import { metric, readTable, type RunningRouter } from './testkit/router.ts';
import { until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

const status = async (model: string): Promise<number> => (await world.client.chat(model)).status;
const reloads = (router: RunningRouter, result: string): Promise<number> =>
  metric(router, 'hermes_config_reloads_total', `result="${result}"`);

/** Milliseconds in which a change is to be in force. */
const promised = 2000;

function until2s(what: string, ask: () => Promise<boolean>): Promise<boolean> {
  return until(`${what} within two seconds`, ask, promised);
}

async function served(documents: readonly Document[] = []): Promise<{ router: RunningRouter; address: string }> {
  const [engine] = await world.sim(1, 'm');
  const router = await world.serve([group('m', [engine.address]), policy('m'), ...documents]);
  return { router, address: engine.address };
}

describe('changes of the manifests under load', () => {
  it('cost no request: engines come and go, strategies and weights change, files break', async () => {
    const engines = await world.sim(4, 'm');
    const addresses = engines.map((engine) => engine.address);
    const weighted = (a: number, b: number): Document => ({
      match: { models: ['m'] },
      backendRefs: [
        { name: 'm', weight: a },
        { name: 'other', weight: b },
      ],
    });
    const steps: ((router: RunningRouter) => void)[] = [
      ({ manifests }) => manifests.write('all.yaml', [group('m', addresses.slice(0, 1)), policy('m')]),
      ({ manifests }) => manifests.write('all.yaml', [group('m', addresses.slice(1)), policy('m')]),
      ({ manifests }) => manifests.writeText('all.yaml', 'kind: [broken'),
      ({ manifests }) => manifests.writeText('more.yaml', '{"kind": "BackendGroup"'),
      ({ manifests }) =>
        manifests.write('all.yaml', [
          group('m', addresses.slice(0, 2)),
          group('other', addresses.slice(2), { models: ['m'] }),
          policy('m', weighted(1, 3)),
        ]),
      ({ manifests }) => manifests.remove('more.yaml'),
      ({ manifests }) =>
        manifests.write('all.yaml', [
          group('m', addresses.slice(0, 2)),
          group('other', addresses.slice(2), { models: ['m'] }),
          policy('m', { ...weighted(1, 0), strategy: { type: 'RoundRobin' } }),
        ]),
      ({ manifests }) =>
        manifests.write('all.yaml', [group('m', addresses), policy('m', { strategy: { type: 'Nonsense' } })]),
      ({ manifests }) =>
        manifests.write('all.yaml', [group('m', addresses), policy('m', { strategy: { type: 'LeastLoad' } })]),
    ];
    const router = await world.serve([group('m', addresses), policy('m')]);
    const load = new Load(6, async (turn) => {
      if (turn % 2 === 0) {
        const answer = await world.client.chat('m', { max_tokens: 1 + (turn % 50) });
        return answer.status === 200 ? null : `${answer.status} ${answer.text}`;
      }
      const stream = await (await world.client.stream('m', { max_tokens: 1 + (turn % 50) })).drain();
      return stream.events.at(-1) === '[DONE]' && !stream.broken ? null : `${stream.status} ${stream.text}`;
    });
    for (const step of steps) {
      const before = (await reloads(router, 'good')) + (await reloads(router, 'faulty'));
      const done = load.done;
      step(router);
      await until2s('the change is seen', async () => {
        return (await reloads(router, 'good')) + (await reloads(router, 'faulty')) > before;
      });
      await until('requests under the new table', () => load.done > done + 60);
    }
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(load.done).toBeGreaterThan(60 * steps.length);
    expect((await readTable(router)).policies[0].effectiveProfile).toContain('least-load');
  });
});

describe('a change', () => {
  it('is in force within two seconds: a new policy, a new name for it, its end', async () => {
    const { router } = await served();
    expect(await status('new')).toBe(404);
    const more = (name: string): Document => policy(name, { backendRefs: [{ name: 'm', rewriteModel: 'm' }] });
    router.manifests.write('more.yaml', [more('new')]);
    await until2s('the new policy', async () => (await status('new')) === 200);
    router.manifests.write('more.yaml', [more('newer')]);
    await until2s('the other name', async () => (await status('newer')) === 200);
    expect(await status('new')).toBe(404);
    router.manifests.remove('more.yaml');
    await until2s('the end', async () => (await status('newer')) === 404);
    expect(await status('m')).toBe(200);
  });

  it('of the API key is in force within two seconds', async () => {
    const [engine] = await world.sim(1, 'm', { apiKey: 'second' });
    const key = (engineKey: string): Document[] => [
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys' }, stringData: { engine: engineKey } },
      group('m', [engine.address], { connection: { apiKeySecretRef: { name: 'keys', key: 'engine' } } }),
      policy('m'),
    ];
    const router = await world.serve(key('first'));
    expect(await status('m')).toBe(401);
    router.manifests.write('all.yaml', key('second'));
    await until2s('the new key', async () => (await status('m')) === 200);
  });
});

describe('the last good version', () => {
  it('stays when a file does not parse, and says where the fault is', async () => {
    const { router } = await served();
    router.manifests.writeText('all.yaml', 'apiVersion: hermes-router.io/v1alpha1\nkind: {');
    await until2s('the fault is seen', async () => (await reloads(router, 'faulty')) === 1);
    expect(await status('m')).toBe(200);
    const fault = router.process.entries().find(({ msg }) => msg === 'manifest at fault');
    expect(fault).toMatchObject({ level: 'warn', file: expect.stringMatching(/all\.yaml$/), line: expect.any(Number) });
    expect((await readTable(router)).faults).toHaveLength(1);
  });

  it('stays for the object that is wrong, while others change', async () => {
    const { router, address } = await served();
    const other = policy('other', { backendRefs: [{ name: 'm', rewriteModel: 'm' }] });
    router.manifests.write('all.yaml', [group('m', [address], { engine: 'Steam' }), policy('m'), other]);
    await until2s('the other policy', async () => (await status('other')) === 200);
    expect(await status('m')).toBe(200);
    expect((await readTable(router)).lastGoodInForce).toEqual(['BackendGroup default/m']);
    router.manifests.write('all.yaml', [group('m', [address]), policy('m'), other]);
    await until2s('all is well', async () => (await readTable(router)).lastGoodInForce.length === 0);
  });

  it('ends with its file: what is deleted is gone', async () => {
    const { router } = await served();
    router.manifests.remove('all.yaml');
    await until2s('the model is gone', async () => (await status('m')) === 404);
    expect((await readTable(router)).models).toEqual([]);
  });

  it('is nothing where a policy never was valid: 503, even if a wider policy would take the model', async () => {
    const wrong = policy('wrong', { backendRefs: [{ name: 'm' }], timeouts: { firstByte: 'soon' } });
    const { router, address } = await served([policy('wide', { match: {}, backendRefs: [{ name: 'm' }] }), wrong]);
    const answer = await world.client.chat('wrong');
    expect([answer.status, answer.error.code]).toEqual([503, 'policy_invalid']);
    const cured = policy('wrong', { backendRefs: [{ name: 'm', rewriteModel: 'm' }] });
    router.manifests.write('all.yaml', [group('m', [address]), cured]);
    await until2s('it is cured', async () => (await status('wrong')) === 200);
  });

  it('a backend that is missing is no fault of the policy: the others take its share', async () => {
    const [engine] = await world.sim(1, 'm');
    const backendRefs = [
      { name: 'missing', weight: 99 },
      { name: 'm', weight: 1 },
    ];
    const alone = policy('alone', { backendRefs: [{ name: 'missing' }] });
    await world.serve([group('m', [engine.address]), policy('m', { backendRefs }), alone]);
    for (let i = 0; i < 10; i++) expect(await status('m')).toBe(200);
    const answer = await world.client.chat('alone');
    expect([answer.status, answer.error.code]).toEqual([503, 'no_ready_endpoint']);
  });
});
