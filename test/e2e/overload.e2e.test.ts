import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { group, policy } from './testkit/manifests.ts';
import { until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

describe('what the router holds', () => {
  it('too many bytes of bodies: the next one is a 503, and served once there is room', async () => {
    const held: (() => void)[] = [];
    const [engine] = await world.script(1, 'm', (_seen, response) => void held.push(() => response.end('{}')));
    await world.serve([group('m', [engine.address]), policy('m')], { flags: ['--max-buffered', '1Mi'] });
    const large = { user: 'x'.repeat(600_000) };
    const first = world.client.chat('m', large);
    await until('the engine has the first one', () => held.length === 1);
    const second = await world.client.chat('m', large);
    expect([second.status, second.headers['retry-after']]).toEqual([503, '1']);
    expect(second.error).toMatchObject({ type: 'service_unavailable', code: 'overloaded' });
    held[0]();
    expect((await first).status).toBe(200);
    const third = world.client.chat('m', large);
    await until('the engine has the third one', () => held.length === 2);
    held[1]();
    expect((await third).status).toBe(200);
  });

  it('too many connections: further ones are closed, and those that stand go on', async () => {
    const [engine] = await world.sim(1, 'm');
    const router = await world.serve([group('m', [engine.address]), policy('m')], {
      flags: ['--max-connections', '2'],
    });
    const [host, port] = router.proxy.split(':');
    expect((await world.client.chat('m')).status).toBe(200);
    const second = connect(Number(port), host);
    await until('it stands', () => second.readyState === 'open');
    const third = connect(Number(port), host).on('error', () => undefined);
    await until('it is closed', () => third.closed);
    expect((await world.client.chat('m')).status).toBe(200);
    second.destroy();
  });
});
