// One line for each finished request, and the request's id in whatever else is said of it.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EnvoyWorld } from './envoy/world.ts';
import { sendObject } from './testkit/engine.ts';
import { RunningLeader } from './testkit/leader.ts';
import { group, policy } from './testkit/manifests.ts';
import { pairedGroup } from './testkit/pairs.ts';
import type { HermesProcess } from './testkit/process.ts';
import { until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

const chat = '/v1/chat/completions';
const usage = { prompt_tokens: 12, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 8 } };

/** The line of a request. */
async function lineOf({ entries }: { entries: () => Record<string, unknown>[] }, requestId: string) {
  return until(`the line of ${requestId}`, () =>
    entries().find((entry) => entry.msg === 'request' && entry.requestId === requestId),
  );
}

const reading = (process: HermesProcess) => ({ entries: () => process.entries() });

describe('the access log of serve', () => {
  it('has a line for each request, with what is known of it', async () => {
    const [engine] = await world.script(1, 'm', (_seen, response) => sendObject(response, { model: 'm', usage }));
    const router = await world.serve([group('m', [engine.address]), policy('m')], { flags: ['--access-log'] });
    await world.client.chat('m', {}, { headers: { 'x-request-id': 'good' } });
    const line = await lineOf(reading(router.process), 'good');
    expect(line).toMatchObject({
      level: 'info', traceId: null, model: 'm', policy: 'default/m', group: 'm', endpoint: 'e1', prefillEndpoint: null,
      method: 'POST', path: chat, status: 200, code: null, stream: false, retries: 0, ttftMs: null,
      promptTokens: 12, completionTokens: 3, cachedTokens: 8,
    }); // prettier-ignore
    expect(line.durationMs).toBeGreaterThan(0);
    expect(line.decisionMicroseconds).toBeGreaterThan(0);
    expect(Date.parse(String(line.time))).toBeGreaterThan(0);
    const refused = { 'x-request-id': 'refused' };
    await world.client.chat('nobody has this', {}, { headers: refused });
    await world.client.post('/none/of/ours', {}, { headers: { 'x-request-id': 'lost' } });
    await world.client.get('/v1/models', { 'x-request-id': 'listed' });
    const nobody = { model: null, policy: null, endpoint: null, durationMs: expect.any(Number) as number };
    expect(await lineOf(reading(router.process), 'refused')).toMatchObject({
      ...nobody, path: chat, status: 404, code: 'model_not_found', promptTokens: null,
    }); // prettier-ignore
    expect(await lineOf(reading(router.process), 'lost')).toMatchObject({ ...nobody, path: 'other', status: 404 });
    const listed = { ...nobody, method: 'GET', path: '/v1/models', status: 200, code: null };
    expect(await lineOf(reading(router.process), 'listed')).toMatchObject(listed);
  });

  it('tells of streams, of further tries, and of clients who leave; what fails is told with the same id', async () => {
    const [good] = await world.script(1, 'm');
    const [broken] = await world.script(1, 'm', (_seen, response) => void response.socket?.resetAndDestroy());
    const router = await world.serve([group('m', [good.address, broken.address]), policy('m')], {
      env: { HERMES_ACCESS_LOG: 'true' },
    });
    const log = reading(router.process);
    let retried = 0;
    for (let i = 0; i < 8; i++) {
      const requestId = `stream-${i}`;
      await (await world.client.stream('m', {}, { headers: { 'x-request-id': requestId } })).drain();
      const line = await lineOf(log, requestId);
      expect(line).toMatchObject({ status: 200, stream: true, endpoint: 'e1' });
      expect(line.ttftMs).toBeGreaterThan(0);
      retried += Number(line.retries);
    }
    expect(retried).toBeGreaterThan(0);
    good.script = (_seen, response) =>
      void response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {}\n\n');
    (await world.client.stream('m', {}, { headers: { 'x-request-id': 'left' } })).abandon();
    expect(await lineOf(log, 'left')).toMatchObject({ status: 499, code: 'client_closed' });
    good.script = (_seen, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: {}\n\n', () => response.socket?.resetAndDestroy());
    };
    await (await world.client.stream('m', {}, { headers: { 'x-request-id': 'broken' } })).drain();
    expect(await lineOf(log, 'broken')).toMatchObject({ status: 200, code: 'upstream_reset' });
    const told = router.process.entries().find(({ msg }) => msg === 'an answer broke off');
    expect(told).toMatchObject({ level: 'warn', requestId: 'broken', code: 'upstream_reset', endpoint: 'e1' });
  });

  it('costs no request its answer when nobody reads it, and is written to its end when the router stops', async () => {
    const [engine] = await world.script(1, 'm');
    const router = await world.serve([group('m', [engine.address]), policy('m')], { flags: ['--access-log'] });
    await world.client.chat('m', {}, { headers: { 'x-request-id': 'last' } });
    router.process.signal('SIGTERM');
    expect(await router.process.exit).toBe(0);
    expect(router.process.entries().some(({ requestId }) => requestId === 'last')).toBe(true);
    const deaf = await world.serve([group('m', [engine.address]), policy('m')], { flags: ['--access-log'] });
    deaf.process.stopReading();
    for (let i = 0; i < 50; i++) expect((await world.client.chat('m')).status).toBe(200);
  });
});

it('there is none unless it is asked for', async () => {
  const [engine] = await world.script(1, 'm');
  const router = await world.serve([group('m', [engine.address]), policy('m')]);
  await world.client.chat('m');
  router.process.signal('SIGTERM');
  await router.process.exit;
  expect(router.process.entries().filter(({ msg }) => msg === 'request')).toEqual([]);
});

it('a leader has one, too, and names the prefiller', async () => {
  const script = (_seen: unknown, response: Parameters<typeof sendObject>[0]): void =>
    sendObject(response, { kv_transfer_params: { a: 1 } });
  const [prefill] = await world.script(1, 'm', script);
  const [decode] = await world.script(1, 'm');
  const members = [
    { name: 'p', address: prefill.address, role: 'prefill', group: 'g' },
    { name: 'd', address: decode.address, role: 'decode', group: 'g' },
  ] as const;
  const leader = await RunningLeader.start([pairedGroup('m', members)], ['--access-log']);
  try {
    await leader.client.chat('m', {}, { headers: { 'x-request-id': 'led' } });
    const line = await lineOf(reading(leader.process), 'led');
    expect(line).toMatchObject({ endpoint: 'd', prefillEndpoint: 'p', status: 200, model: 'm' });
    // Probes and scrapes are no requests.
    expect(leader.process.entries().filter(({ msg }) => msg === 'request')).toHaveLength(1);
  } finally {
    await leader.close();
  }
});

it('a picker has one, too, with what the answer has told', async () => {
  const envoy = new EnvoyWorld();
  try {
    await envoy.script(1, 'm', (_seen, response) => sendObject(response, { model: 'm', usage }));
    const documents = [group('g', envoy.addresses, { models: ['m'] }), policy('g', { match: { models: ['m'] } })];
    const { picker, client } = await envoy.serve(documents, { flags: ['--access-log'] });
    const { headers } = await client.chat('m');
    const line = await lineOf(reading(picker.process), String(headers['x-request-id']));
    expect(line).toMatchObject({
      model: 'm', policy: 'default/g', group: 'g', endpoint: 'e1', method: 'POST', path: chat, status: 200, code: null,
      promptTokens: 12, completionTokens: 3, cachedTokens: 8,
    }); // prettier-ignore
  } finally {
    await envoy.close();
  }
});
