import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { errorOf } from './testkit/client.ts';
import type { ScriptedEngine } from './testkit/engine.ts';
import { Load } from './testkit/load.ts';
import { group, policy } from './testkit/manifests.ts';
import { metric, reasonOf } from './testkit/router.ts';
import { until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

const roundRobin = { strategy: { type: 'RoundRobin' } };

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

describe('an engine that is killed', () => {
  it('before the first byte costs no request', async () => {
    const hanging = await world.child('m', ['--fault', 'hang']);
    const healthy = await world.child('m', ['--speed-up', '20']);
    const router = await world.serve([group('m', [hanging.address, healthy.address]), policy('m', roundRobin)]);
    const whole = Array.from({ length: 8 }, () => world.client.chat('m'));
    const streams = Array.from({ length: 8 }, async () => (await world.client.stream('m')).drain());
    for (const name of ['hermes_requests_total', 'hermes_requests_in_flight'])
      await until('half of the requests are done and half hang', async () => (await metric(router, name)) === 8);
    await hanging.kill();
    expect((await Promise.all(whole)).map(({ status }) => status)).toEqual(Array(8).fill(200));
    expect((await Promise.all(streams)).map(({ events }) => events.at(-1))).toEqual(Array(8).fill('[DONE]'));
    expect(await metric(router, 'hermes_retries_total')).toBe(8);
    expect((await healthy.state()).requests).toBe(16);
  });

  it.each([
    ['/v1/chat/completions', { messages: [{ role: 'user', content: 'hello' }], max_tokens: 5000 }],
    ['/v1/completions', { prompt: 'hello', max_tokens: 5000 }],
    ['/v1/responses', { input: 'hello', max_output_tokens: 5000 }],
  ])('in the middle of a stream of %s ends it with an error event and no clean end', async (path, fields) => {
    const engine = await world.child('m');
    const router = await world.serve([group('m', [engine.address]), policy('m')]);
    const stream = await world.client.streamOf(path, { model: 'm', stream: true, ...fields });
    await stream.next();
    await engine.kill();
    await stream.drain();
    expect(stream.broken).toBe(true);
    const last = stream.text.trimEnd().split('\n\n').at(-1) ?? '';
    const data = last.split('\n').find((line) => line.startsWith('data: ')) ?? '';
    expect(errorOf(data.slice(6))).toMatchObject({ type: 'upstream_error', code: 'upstream_reset' });
    expect(last.startsWith('event: error\n')).toBe(path === '/v1/responses');
    expect(stream.text).not.toContain('[DONE]');
    // Every event before it is whole.
    for (const event of stream.events) expect(() => void JSON.parse(event)).not.toThrow();
    expect(await metric(router, 'hermes_broken_answers_total')).toBe(1);
  });

  it('in the middle of a whole answer leaves no answer that looks complete', async () => {
    const [engine] = await world.script(1, 'm', (_seen, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 });
      response.write('{"half": ', () => response.socket?.resetAndDestroy());
    });
    await world.serve([group('m', [engine.address]), policy('m')]);
    await expect(world.client.chat('m')).rejects.toThrow(/terminated|closed/);
  });
});

describe('a prompt that kills engines', () => {
  it('meets two of them, never a third, and its client is told not to come back', async () => {
    const engines = await world.script(3, 'm', ({ body }, response) => {
      if (body.includes('poison')) response.socket?.resetAndDestroy();
      else response.end('{}');
    });
    const addresses = engines.map((engine) => engine.address);
    await world.serve([group('m', addresses), policy('m', { retries: { attempts: 5 } })]);
    const answer = await world.client.chat('m', { user: 'poison' });
    expect([answer.status, answer.headers['x-should-retry']]).toEqual([502, 'false']);
    expect(answer.error).toMatchObject({ type: 'upstream_error', code: 'upstream_unreachable' });
    expect(engines.map((engine) => engine.seen.length).sort()).toEqual([0, 1, 1]);
    expect((await world.client.chat('m')).status).toBe(200);
  });
});

describe('a prompt that ends engines for good', () => {
  it.each([
    ['over fresh connections', 0],
    ['over connections that are in use', 12],
  ])('%s ends two of four', async (_name, warmings) => {
    const dead = new Set<ScriptedEngine>();
    const engines = await world.script(4, 'm');
    for (const engine of engines) {
      engine.script = ({ body }, response) => {
        if (!body.includes('poison')) {
          response.end('{}');
          return;
        }
        dead.add(engine);
        void engine.close();
      };
    }
    const addresses = engines.map((engine) => engine.address);
    await world.serve([group('m', addresses), policy('m', { ...roundRobin, retries: { attempts: 5 } })]);
    for (let i = 0; i < warmings; i++) expect((await world.client.chat('m')).status).toBe(200);
    const answer = await world.client.chat('m', { user: 'poison' });
    expect(dead.size).toBe(2);
    expect([answer.status, answer.headers['x-should-retry']]).toEqual([502, 'false']);
    for (let i = 0; i < 4; i++) expect((await world.client.chat('m')).status).toBe(200);
  });
});

describe('all engines restarted one after another under load', () => {
  it('by force: no request is lost that had no byte of its answer', async () => {
    const engines = await Promise.all([1, 2, 3].map(() => world.child('m')));
    const addresses = engines.map((engine) => engine.address);
    const router = await world.serve([group('m', addresses), policy('m', { timeouts: { connect: '5s' } })]);
    const load = new Load(8, async (turn) => {
      const { status, text } = await world.client.chat('m', { max_tokens: 5 + (turn % 20) });
      return status === 200 ? null : `${status} ${text}`;
    });
    for (const [i, engine] of engines.entries()) {
      const before = load.done;
      await until('the load runs', () => load.done > before + 20);
      await engine.kill();
      await until('the router has noticed', async () => (await reasonOf(router, 'm', `e${i + 1}`)) === 'Unhealthy');
      await engine.restart();
      await until('the engine is back', async () => (await reasonOf(router, 'm', `e${i + 1}`)) === 'Ready');
    }
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(await metric(router, 'hermes_retries_total')).toBeGreaterThan(0);
  });

  it('in good order, taken out of the group first: no stream is lost either', async () => {
    const engines = await Promise.all([1, 2, 3].map(() => world.child('m')));
    const addresses = engines.map((engine) => engine.address);
    const router = await world.serve([group('m', addresses), policy('m')]);
    const load = new Load(8, async (turn) => {
      const stream = await (await world.client.stream('m', { max_tokens: 20 + (turn % 30) })).drain();
      return stream.events.at(-1) === '[DONE]' && !stream.broken ? null : `${stream.status} ${stream.text}`;
    });
    for (const engine of engines) {
      const before = load.done;
      await until('the load runs', () => load.done > before + 20);
      const others = addresses.filter((address) => address !== engine.address);
      router.manifests.write('all.yaml', [group('m', others), policy('m')]);
      await until('the engine has no stream and gets none', async () => {
        const { activeStreams, requests } = await engine.state();
        const mark = load.done;
        await until('more requests', () => load.done > mark + 20);
        return activeStreams === 0 && (await engine.state()).requests === requests;
      });
      await engine.kill();
      await engine.restart();
      router.manifests.write('all.yaml', [group('m', addresses), policy('m')]);
      await until('the engine works again', async () => (await engine.state()).requests > 0);
    }
    await load.stop();
    expect(load.failures).toEqual([]);
  });
});
