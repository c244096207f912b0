import { afterEach, beforeEach, expect, it } from 'vitest';
import { errorOf } from './testkit/client.ts';
import { group, policy } from './testkit/manifests.ts';
import { get, type RunningRouter } from './testkit/router.ts';
import { until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

async function serving(flags: readonly string[]): Promise<RunningRouter> {
  const engines = await world.sim(1, 'm', { speedUp: 1 });
  return world.serve([group('m', [engines[0].address]), policy('m')], { flags });
}

it('SIGTERM: not ready but still serving, then nobody new, streams end well, exit 0', async () => {
  const router = await serving(['--drain-delay', '2s']);
  const stream = await world.client.stream('m', { max_tokens: 700 });
  await stream.next();
  router.process.signal('SIGTERM');
  await until('not ready', async () => (await get(`http://${router.metrics}/readyz`)).status === 503);
  expect((await get(`http://${router.metrics}/healthz`)).status).toBe(200);
  const late = await world.client.chat('m');
  expect([late.status, late.headers.connection]).toEqual([200, 'close']);
  const refused = await world.client.chat('none');
  expect([refused.status, refused.headers.connection]).toEqual([404, 'close']);
  await until('new connections are refused', () => world.client.get('/v1/models').then(() => false, isRefused));
  await stream.drain();
  expect(stream.events.at(-1)).toBe('[DONE]');
  expect(stream.broken).toBe(false);
  expect(await router.process.exit).toBe(0);
});

it('SIGTERM with a stream that is too long: cut with an error event, exit 0 all the same', async () => {
  const router = await serving(['--drain-timeout', '300ms']);
  const stream = await world.client.stream('m', { max_tokens: 100_000 });
  const waiting = world.client.chat('m', { max_tokens: 100_000 });
  await stream.next();
  router.process.signal('SIGTERM');
  await stream.drain();
  expect(stream.broken).toBe(true);
  expect(errorOf(stream.events.at(-1) ?? '')).toMatchObject({ type: 'upstream_error' });
  expect((await waiting).status).toBe(503);
  expect(await router.process.exit).toBe(0);
});

it('a second signal cuts what is left', async () => {
  const router = await serving(['--drain-delay', '600s']);
  const stream = await world.client.stream('m', { max_tokens: 100_000 });
  await stream.next();
  router.process.signal('SIGTERM');
  await until('draining', () => router.process.stdout.includes('draining'));
  router.process.signal('SIGTERM');
  await stream.drain();
  expect(stream.broken).toBe(true);
  expect(await router.process.exit).toBe(0);
});

function isRefused(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
}
