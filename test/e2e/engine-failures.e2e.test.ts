import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Fault } from '../../src/sim/faults.ts';
import { errorOf } from './testkit/client.ts';
import { group, policy } from './testkit/manifests.ts';
import { metric, reasonOf } from './testkit/router.ts';
import { until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

const always = { count: Infinity, afterTokens: 0, factor: 1, seconds: 0 };
const fault = (type: Fault['type']): Fault => ({ type, ...always });
/** Failures in a row that eject nobody within a test. */
const patience = { health: { passive: { consecutiveFailures: 1000 } } };
const roundRobin = { strategy: { type: 'RoundRobin' } };

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

/** A policy before two engines; those that are to fail do it with every request. */
async function two(type: Fault['type'], failing: 1 | 2, spec: object): Promise<void> {
  const engines = await world.sim(2, 'm');
  for (const engine of engines.slice(0, failing)) engine.setFault(fault(type));
  const addresses = engines.map((engine) => engine.address);
  await world.serve([group('m', addresses, patience), policy('m', { ...roundRobin, ...spec })]);
}

async function statuses(stream: boolean): Promise<number[]> {
  const answers: number[] = [];
  for (let i = 0; i < 6; i++) answers.push((await world.client.chat('m', { stream })).status);
  return answers;
}

describe('an engine that hangs', () => {
  const timeouts = { firstByte: '300ms', nonStreaming: '300ms' };

  it('is a 504 for a stream without a first byte in time, and for a whole answer', async () => {
    await two('hang', 2, { timeouts });
    for (const stream of [true, false]) {
      const answer = await world.client.chat('m', { stream });
      expect(answer.status).toBe(504);
      expect(answer.error).toMatchObject({ type: 'upstream_error', code: 'upstream_timeout' });
    }
  });

  it('costs nothing but time where the policy tries again on Timeout', async () => {
    await two('hang', 1, { timeouts, retries: { on: ['Timeout'] } });
    expect(await statuses(true)).toEqual(Array(6).fill(200));
  });

  it('may take the time of the whole request from a stream, too', async () => {
    await two('hang', 2, { timeouts: { request: '300ms' }, retries: { on: ['Timeout'] } });
    expect((await world.client.chat('m', { stream: true })).status).toBe(504);
  });
});

describe('an engine that says 503', () => {
  it('is passed over where the policy tries again on Unavailable', async () => {
    await two('unavailable', 1, { retries: { on: ['Unavailable'] } });
    expect(await statuses(false)).toEqual(Array(6).fill(200));
  });

  it('is heard where all say so', async () => {
    await two('unavailable', 2, { retries: { on: ['Unavailable'] } });
    const answer = await world.client.chat('m');
    expect([answer.status, answer.error.type, answer.error.code]).toEqual([503, 'ServiceUnavailableError', 503]);
  });

  it('is heard where the policy does not try again', async () => {
    await two('unavailable', 1, {});
    expect((await statuses(false)).sort()).toEqual([200, 200, 200, 503, 503, 503]);
  });
});

describe('an engine that sends garbage', () => {
  it('is passed over', async () => {
    await two('garbage', 1, {});
    expect(await statuses(false)).toEqual(Array(6).fill(200));
    expect(await statuses(true)).toEqual(Array(6).fill(200));
  });

  it('is a 502 where all do', async () => {
    await two('garbage', 2, {});
    const answer = await world.client.chat('m');
    expect([answer.status, answer.error.code]).toEqual([502, 'upstream_unreachable']);
  });

  it.each([
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{} '],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a header without end', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(300_000)}`],
    ['another protocol', '{"error": "not HTTP"}'],
    ['half a head', 'HTTP/1.1 200 OK\r\ncontent-ty'],
  ])('%s is a 502', async (_name, bytes) => {
    const [engine] = await world.script(1, 'm', (_seen, response) => void response.socket?.end(bytes, 'latin1'));
    await world.serve([group('m', [engine.address]), policy('m')]);
    const answer = await world.client.chat('m');
    expect([answer.status, answer.error.code]).toEqual([502, 'upstream_unreachable']);
  });
});

describe('a stream that falls silent', () => {
  it('ends with an error event that says so, and the engine is let go', async () => {
    const [engine] = await world.script(1, 'm', (_seen, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: {"choices":[]}\n\ndata: {"half');
    });
    await world.serve([group('m', [engine.address]), policy('m', { timeouts: { streamIdle: '300ms' } })]);
    const stream = await (await world.client.stream('m')).drain();
    expect(stream.broken).toBe(true);
    expect(stream.events).toHaveLength(2);
    expect(stream.events[0]).toBe('{"choices":[]}');
    expect(errorOf(stream.events[1])).toMatchObject({ type: 'upstream_error', code: 'upstream_timeout' });
  });
});

describe('an engine that closes idle connections', () => {
  it('just as the next request comes, costs no request and no retry', async () => {
    let turn = 0;
    const [engine] = await world.script(1, 'm', (_seen, response) => {
      const { socket } = response;
      // Without this the engine would announce how long it keeps connections.
      response.setHeader('connection', 'keep-alive');
      response.end('{}');
      turn += 1;
      response.on('finish', () => setTimeout(() => socket?.end(), turn % 4));
    });
    const router = await world.serve([group('m', [engine.address]), policy('m', { retries: { attempts: 0 } })]);
    const ask = async (lane: number): Promise<number[]> => {
      const answers: number[] = [];
      for (let i = 0; i < 150; i++) {
        answers.push((await world.client.chat('m')).status);
        await sleep((i + lane) % 5);
      }
      return answers;
    };
    const answers = (await Promise.all([0, 1, 2, 3].map(ask))).flat();
    expect(answers).toEqual(Array(600).fill(200));
    expect(await metric(router, 'hermes_retries_total')).toBe(0);
  });
});

describe('an engine that fails again and again', () => {
  it('is left alone for a while, and comes back when it is well', async () => {
    const engines = await world.sim(3, 'm');
    const passive = { consecutiveFailures: 3, ejectFor: '1s' };
    const addresses = engines.map((engine) => engine.address);
    const router = await world.serve([group('m', addresses, { health: { passive } }), policy('m', roundRobin)]);
    engines[0].setFault(fault('error'));
    const failed: number[] = [];
    await until('it is ejected', async () => {
      const { status } = await world.client.chat('m');
      if (status !== 200) failed.push(status);
      return (await metric(router, 'hermes_endpoint_ejections_total')) === 1;
    });
    expect(failed).toEqual([500, 500, 500]);
    expect(await reasonOf(router, 'm', 'e1')).toBe('Ejected');
    engines[0].setFault(fault('none'));
    await until('it is back', async () => (await reasonOf(router, 'm', 'e1')) === 'Ready');
    const before = engines[0].state().requests;
    expect(await statuses(false)).toEqual(Array(6).fill(200));
    expect(engines[0].state().requests).toBeGreaterThan(before);
  });
});

describe('an engine that sleeps', () => {
  it('gets no requests, although it is healthy, until it wakes', async () => {
    const engines = await world.sim(2, 'm');
    const addresses = engines.map((engine) => engine.address);
    const router = await world.serve([group('m', addresses), policy('m', roundRobin)]);
    const post = (path: string): Promise<Response> => fetch(`http://${addresses[0]}${path}`, { method: 'POST' });
    expect((await post('/sleep')).status).toBe(200);
    await until('the router knows', async () => (await reasonOf(router, 'm', 'e1')) === 'Sleeping');
    const before = engines[0].state().requests;
    expect(await statuses(false)).toEqual(Array(6).fill(200));
    expect(engines[0].state().requests).toBe(before);
    await post('/wake_up');
    await until('the router knows', async () => (await reasonOf(router, 'm', 'e1')) === 'Ready');
    expect(await statuses(false)).toEqual(Array(6).fill(200));
    expect(engines[0].state().requests).toBeGreaterThan(before);
  });
});

describe('the retry budget', () => {
  const requests = 40;
  const resetting = async (budget: object): Promise<number> => {
    const engines = await world.script(2, 'm', (_seen, response) => void response.socket?.resetAndDestroy());
    const addresses = engines.map((engine) => engine.address);
    const router = await world.serve([group('m', addresses, patience), policy('m', { retries: { budget } })]);
    const answers = await Promise.all(Array.from({ length: requests }, () => world.client.chat('m')));
    expect(answers.map(({ status }) => status)).toEqual(Array(requests).fill(502));
    const seen = engines.reduce((sum, engine) => sum + engine.seen.length, 0);
    const retries = await metric(router, 'hermes_retries_total');
    expect(seen).toBe(requests + retries);
    return retries;
  };

  it('keeps failing engines from being asked twice as often', async () => {
    const retries = await resetting({ percent: 10, minPerSecond: 0 });
    expect(retries).toBeGreaterThan(0);
    expect(retries).toBeLessThanOrEqual(requests / 10);
  });

  it('lets every request have its retry where the policy says so', async () => {
    expect(await resetting({ percent: 100, minPerSecond: 1000 })).toBe(requests);
  });

  it('does not count engines that cannot be reached', async () => {
    const [engine] = await world.sim(1, 'm');
    const gone = await world.script(1, 'm');
    const addresses = [engine.address, gone[0].address];
    // Nobody looks after the engines while they die: only requests find out.
    const health = { health: { ...patience.health, interval: '600s' } };
    const spec = { ...roundRobin, retries: { budget: { percent: 0, minPerSecond: 0 } } };
    await world.serve([group('m', addresses, health), policy('m', spec)]);
    await gone[0].close();
    expect(await statuses(false)).toEqual(Array(6).fill(200));
  });
});
