import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EnvoyOptions } from './envoy/config.ts';
import { pickerIdle, startPicker, type PickerOptions } from './envoy/picker.ts';
import { EnvoyWorld } from './envoy/world.ts';
import { Load } from './testkit/load.ts';
import { group, policy, type Document } from './testkit/manifests.ts';
import { RawConnection } from './testkit/raw.ts';
import { until } from './testkit/until.ts';

let world: EnvoyWorld;
beforeEach(() => {
  world = new EnvoyWorld();
});
afterEach(() => world.close());

/** A pool of these engines; probes are so rare that it is not they who find a dead one, unless a test says otherwise. */
function manifests(addresses: readonly string[], interval = '60s'): Document[] {
  const health = { interval, failures: 3, successes: 1 };
  return [
    group('g', addresses, { models: ['m'], health, metrics: { interval: '60s', staleAfter: '600s' } }),
    policy('m', { backendRefs: [{ name: 'g' }], strategy: { type: 'RoundRobin' } }),
  ];
}

async function serve(options: PickerOptions = {}, envoy: Partial<EnvoyOptions> = {}) {
  return world.serve(manifests(world.addresses), options, envoy);
}

describe('an engine that is killed', () => {
  it('costs nothing but what it had accepted: Envoy goes on along the list of fallbacks', async () => {
    const engines = [await world.child('m'), await world.child('m'), await world.child('m')];
    const { client, envoy } = await serve({}, { retries: 2 });
    const load = new Load(4, async () => {
      const { status, text } = await client.chat('m');
      return status === 200 ? null : `${status} ${text}`;
    });
    await until('there is traffic', () => load.done > 20);
    await engines[0].kill();
    const before = load.done;
    await until('traffic goes on', () => load.done > before + 60);
    await load.stop();
    // A request that it had accepted goes with it; Envoy may send none of those again.
    expect(load.failures.length).toBeLessThanOrEqual(4);
    expect(await envoy.stat('cluster.inference.upstream_rq_retry')).toBeGreaterThan(0);
    const after: number[] = [];
    for (let i = 0; i < 12; i++) after.push((await client.chat('m')).status);
    expect(after.filter((status) => status !== 200)).toEqual([]);
  });

  it('without fallbacks is told of by Envoy itself, and the picker’s books are right', async () => {
    const engine = await world.child('m');
    // An engine whose very first probe fails is out until the next one, which must not take a minute then.
    const { client } = await world.serve(manifests(world.addresses, '1s'));
    await engine.kill();
    expect((await client.chat('m')).status).toBe(503);
    await engine.restart();
    await until('it serves again', async () => (await client.chat('m')).status === 200);
  });

  it('in mid-stream breaks its stream, which the client can see, and frees the place', async () => {
    const engine = await world.child('m');
    const { client } = await serve();
    const stream = await client.stream('m', { max_tokens: 100_000 });
    await stream.next();
    await engine.kill();
    await stream.drain();
    expect(stream.text).not.toContain('[DONE]');
  });
});

describe('a picker that is killed', () => {
  it.each<[string, Partial<EnvoyOptions>, number]>([
    ['fail-closed: 500, Envoy’s own', { failureMode: 'FailClose' }, 500],
    ['fail-closed with status_on_error: 503', { failureMode: 'FailClose', statusOnError: 503 }, 503],
    // In full-duplex mode Envoy cannot take back the body that it has begun to send to the picker.
    ['fail-open, which saves no request with a body: 500', { failureMode: 'FailOpen' }, 500],
    ['fail-open with status_on_error: 503', { failureMode: 'FailOpen', statusOnError: 503 }, 503],
  ])('%s; one at the same address serves again', async (_name, envoyOptions, status) => {
    const engines = await world.script(2, 'm');
    const { picker, client } = await serve({}, envoyOptions);
    expect((await client.chat('m')).status).toBe(200);
    await picker.process.kill();
    for (let i = 0; i < 3; i++) expect((await client.chat('m')).status).toBe(status);
    expect(engines.flatMap(({ seen }) => seen)).toHaveLength(1);
    const heir = await startPicker(manifests(world.addresses), { flags: ['--listen', picker.grpc] });
    try {
      await until('it serves again', async () => (await client.chat('m')).status === 200);
      await pickerIdle(heir);
    } finally {
      await heir.stop();
    }
  });

  it('fail-open lets through what has no body', async () => {
    await world.script(2, 'm');
    const { picker, client } = await serve({}, { failureMode: 'FailOpen' });
    await picker.process.kill();
    const { status, text } = await client.get('/v1/models');
    expect([status, JSON.parse(text)]).toEqual([200, { object: 'list', data: [{ id: 'm' }] }]);
  });

  it('in mid-stream ends the stream, so that nobody waits for its rest', async () => {
    await world.sim(1, 'm');
    const { picker, client } = await serve();
    const stream = await client.stream('m', { max_tokens: 100_000 });
    await stream.next();
    await picker.process.kill();
    await stream.drain();
    expect(stream.text).not.toContain('[DONE]');
  });
});

describe('a picker that is frozen', () => {
  it('is given up by Envoy where it pings its connection, and serves again once it is thawed', async () => {
    await world.script(2, 'm');
    const { picker, client } = await serve({}, { pingTimeout: 1, statusOnError: 503 });
    expect((await client.chat('m')).status).toBe(200);
    picker.process.signal('SIGSTOP');
    try {
      expect((await client.chat('m')).status).toBe(503);
    } finally {
      picker.process.signal('SIGCONT');
    }
    await until('it serves again', async () => (await client.chat('m')).status === 200);
  });
});

describe('our own deadline', () => {
  it('ends a request whose body never ends, since Envoy would wait for ever', async () => {
    await world.script(1, 'm');
    const { envoy, picker, client } = await serve({ flags: ['--deadline', '1s'] });
    const connection = new RawConnection(envoy.address);
    connection.write(
      'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"model"',
    );
    await until('an answer', () => /^HTTP\/1.1 5[0-9][0-9] /.test(connection.received));
    connection.destroy();
    await pickerIdle(picker);
    expect((await client.chat('m')).status).toBe(200);
  });

  it('leaves an answer that takes longer alone', async () => {
    await world.sim(1, 'm', { speedUp: 1 });
    const { client } = await serve({ flags: ['--deadline', '200ms'] });
    const { status, text } = await client.chat('m', { max_tokens: 100 });
    expect([status, JSON.parse(text)]).toMatchObject([200, { usage: { completion_tokens: 100 } }]);
  });
});

describe('a picker that is told to end', () => {
  it('lets streams under way come to their end and exits 0', async () => {
    await world.sim(1, 'm', { speedUp: 1 });
    const { picker, client } = await serve();
    const stream = await client.stream('m', { max_tokens: 150 });
    await stream.next();
    picker.process.signal('SIGTERM');
    await stream.drain();
    expect(stream.events.at(-1)).toBe('[DONE]');
    expect(await picker.process.exit).toBe(0);
  });
});
