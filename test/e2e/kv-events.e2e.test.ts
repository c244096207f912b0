import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { noFault } from '../../src/sim/faults.ts';
import type { SimEngine } from '../../src/sim/server.ts';
import type { Answer } from './testkit/client.ts';
import { publishing } from './testkit/indexer.ts';
import { policy, type Document } from './testkit/manifests.ts';
import { metric, readTable, type RunningRouter } from './testkit/router.ts';
import { until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

const model = 'm';
const kvEvents = { events: 'tcp://127.0.0.1:0', replay: 'tcp://127.0.0.1:0' };

// A machine that runs tests takes longer to tokenise than engines do.
const patient = { kvCache: { type: 'Events', tokenizer: { type: 'Engine', timeout: '5s' } } };

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

async function fleet(count: number, options: Parameters<World['sim']>[2] = {}): Promise<SimEngine[]> {
  return world.sim(count, model, { kvEvents, ...options });
}

/** A router before the engines, once the events of all of them arrive. */
async function serving(
  engines: readonly SimEngine[],
  strategy: Document = { type: 'KVAware' },
): Promise<RunningRouter> {
  const asking = policy(model, { strategy, debug: { headers: true } });
  const router = await world.serve([publishing(model, engines, patient), asking]);
  await until('all events arrive', async () => (await metric(router, 'hermes_kv_event_streams', 'phase="live"')) === engines.length); // prettier-ignore
  return router;
}

const words = (topic: string, count: number): string =>
  Array.from({ length: count }, (_, i) => `${topic} ${i}`).join(' ');

interface Turn {
  readonly endpoint: string;
  /** Cached tokens as the router predicted them and as the engine counted them. */
  readonly predicted: number;
  readonly cached: number;
  readonly promptTokens: readonly [predicted: number, counted: number];
}

async function chat(messages: readonly object[], fields: object = {}): Promise<Turn> {
  const options = { headers: { 'x-hermes-debug': '1' } };
  return turnOf(
    await world.client.post('/v1/chat/completions', { model, messages, max_tokens: 4, ...fields }, options),
  );
}

function turnOf({ status, headers, text }: Answer): Turn {
  expect([status, text.slice(0, 200)]).toEqual([200, expect.stringContaining('{')]);
  const { usage } = JSON.parse(text) as {
    usage: { prompt_tokens: number; prompt_tokens_details?: { cached_tokens: number } };
  };
  return {
    endpoint: String(headers['x-hermes-endpoint']),
    predicted: Number(headers['x-hermes-cached-tokens']),
    cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
    promptTokens: [Number(headers['x-hermes-prompt-tokens']), usage.prompt_tokens],
  };
}

const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });
const system = (content: string) => ({ role: 'system', content });

/** What the router says of its knowledge of the group's caches. */
async function cacheKnown(router: RunningRouter): Promise<string> {
  const { conditions } = await readTable(router);
  const all = conditions.flatMap((one) => one.conditions).filter(({ type }) => type === 'CacheKnown');
  return all.map(({ status, reason, message }) => `${status} ${reason}: ${message}`).join();
}

describe('a group that goes by KV events', () => {
  it('predicts what its engines have cached to the token: shared system prompts, growing chats, salts, evictions', async () => {
    // 2,048 tokens hold a few of the prompts, so that blocks are evicted all the time.
    await serving(await fleet(2, { service: { kvTokens: 4096 } }));
    const turns: Turn[] = [];
    for (let i = 0; i < 60; i++) {
      const messages: object[] = [system(words(`system ${i % 3}`, 60)), user(words(`question ${i % 7}`, 20))];
      const salt = i % 5 === 0 ? { cache_salt: `tenant ${i % 2}` } : {};
      turns.push(await chat(messages, salt));
      messages.push(assistant('an answer'), user('and then?'));
      turns.push(await chat(messages, salt));
    }
    expect(turns.map(({ predicted }) => predicted)).toEqual(turns.map(({ cached }) => cached));
    expect(turns.map(({ promptTokens: [predicted] }) => predicted)).toEqual(turns.map(({ promptTokens }) => promptTokens[1])); // prettier-ignore
    expect(turns.filter(({ cached }) => cached > 0).length).toBeGreaterThan(turns.length * 0.6);
    expect(new Set(turns.map(({ endpoint }) => endpoint)).size).toBe(2);
  });

  it('keeps a burst of equal prompts together before any of them has been computed', async () => {
    const hitsAlone = { hitWeight: 1, usageWeight: 0, waitingWeight: 0 };
    await serving(await fleet(4), { type: 'KVAware', kvAware: hitsAlone });
    // An engine tells the size of its blocks with its first event.
    for (let i = 0; i < 12; i++) await chat([user(words(`warm ${i}`, 60))]);
    const messages = [user(words('burst', 400))];
    const turns = await Promise.all(Array.from({ length: 6 }, () => chat(messages)));
    expect(new Set(turns.map(({ endpoint }) => endpoint)).size).toBe(1);
  });

  it('loses nothing but hits when its engines stop telling, and finds them again', async () => {
    const engines = await fleet(2);
    const router = await serving(engines);
    const messages = [user(words('story', 200))];
    const first = await chat(messages);
    // Events may come after the answer: lost before the first of them has come, they leave no gap.
    await until('its events have come', async () => (await metric(router, 'hermes_kv_event_messages_total')) > 0);
    expect(await chat(messages)).toMatchObject({ endpoint: first.endpoint });
    for (const engine of engines) engine.setFault({ ...noFault, type: 'lose-events' });
    let asked = 0;
    const another = () => chat([user(words(`question ${(asked += 1)}`, 100))]);
    // One load told at the wrong moment sends all to the other engine, whose first event leaves no gap.
    await until('this engine has lost some', async () => (await another()).endpoint === first.endpoint);
    for (const engine of engines) engine.setFault(noFault);
    await until('a gap is noticed', async () => {
      await another();
      return (await metric(router, 'hermes_kv_event_gaps_total')) > 0;
    });
    const again = await chat(messages);
    expect(again).toMatchObject({ endpoint: first.endpoint });
    expect(again.predicted).toBe(again.cached);
  });

  it('goes by what it has sent where no port is named, and says so', async () => {
    const engines = await fleet(2);
    const addresses = engines.map(({ address }) => ({ address, kvEvents: null }));
    const asking = policy(model, { strategy: { type: 'KVAware' }, debug: { headers: true } });
    const router = await world.serve([publishing(model, addresses), asking]);
    await until('it says so', async () => (await cacheKnown(router)).includes('none of its ports is called zmq-pub'));
    const messages = [user(words('story', 200))];
    const first = await chat(messages);
    const again = await chat(messages);
    expect(again.endpoint).toBe(first.endpoint);
    expect(again.predicted).toBeGreaterThan(0);
  });
});
