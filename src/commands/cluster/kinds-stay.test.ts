import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiServer, type Reply } from '../../controller/kube/api-server.fixture.ts';
import type { KubeClient } from '../../controller/kube/contract.ts';
import { HttpKubeClient } from '../../controller/kube/http-client.ts';
import { wallClock } from '../wall-clock.ts';
import { kindsStay } from './kinds-stay.ts';

let server: ApiServer;
let client: KubeClient;
beforeEach(async () => {
  server = await ApiServer.start();
  client = new HttpKubeClient({ connection: server.connection, clock: wallClock, version: '0' });
});
afterEach(async () => {
  client.close();
  await server.close();
});

const all = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'];
const ending = ['delete', 'deletecollection', 'get', 'list', 'watch'];
const kind = (name: string, verbs: readonly string[]) => ({ name, verbs });
const discovered = (...resources: unknown[]): Reply => ({ status: 200, body: { kind: 'APIResourceList', resources } });

async function stay(reply: Reply): Promise<boolean> {
  server.faults.push(({ path }) => (path === '/apis/hermes-router.io/v1alpha1' ? reply : null));
  return kindsStay(client, ['BackendGroup', 'RoutingPolicy']);
}

describe('kindsStay', () => {
  it.each<[string, boolean, Reply]>([
    ['both can be made', true, discovered(kind('backendgroups', all), kind('routingpolicies', all))],
    ['one of them ends', false, discovered(kind('backendgroups', all), kind('routingpolicies', ending))],
    ['one of them is gone', false, discovered(kind('backendgroups', all))],
    ['the whole group is gone', false, { status: 404, body: { kind: 'Status' } }],
    ['nobody lets us ask', true, { status: 403, body: { kind: 'Status' } }],
  ])('when %s: %s', async (_case, wanted, reply) => {
    expect(await stay(reply)).toBe(wanted);
  });

  it.each<[string, Reply]>([
    ['is busy', { status: 503, body: {} }],
    ['says something else', { status: 200, body: { kind: 'APIResourceList' } }],
    ['breaks off', 'cut'],
  ])('rejects when the API server %s', async (_case, reply) => {
    await expect(stay(reply)).rejects.toThrow();
  });
});
