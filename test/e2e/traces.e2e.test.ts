import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Collector, type Trace } from './otel/collector.ts';
import { echo, sendObject, type ScriptedEngine } from './testkit/engine.ts';
import { RunningLeader } from './testkit/leader.ts';
import { group, policy } from './testkit/manifests.ts';
import { pairedGroup, type PairMember } from './testkit/pairs.ts';
import { metric, type RunningRouter } from './testkit/router.ts';
import { World } from './testkit/world.ts';

let collector: Collector;
beforeAll(async () => {
  collector = await Collector.start();
}, 300_000);
afterAll(() => collector.close());

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

const hex = (bytes: number): string => randomBytes(bytes).toString('hex');

/** A caller's context. */
function caller() {
  const traceId = hex(16);
  const spanId = hex(8);
  return { traceId, spanId, headers: { traceparent: `00-${traceId}-${spanId}-01` } };
}

const addresses = (engines: readonly ScriptedEngine[]): string[] => engines.map(({ address }) => address);

describe('a traced request', () => {
  it('has a span for itself, one for the decision with its scores and one for the engine, in the trace of its caller', async () => {
    const engines = await world.script(3, 'm', (seen, response) => {
      const usage = { prompt_tokens: 12, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 8 } };
      if (seen.body.includes('"stream":true')) echo(seen, response);
      else sendObject(response, { model: 'm', choices: [], usage });
    });
    await world.serve([group('m', addresses(engines)), policy('m')], { env: collector.env });
    const { traceId, spanId, headers } = caller();
    const more = { 'x-request-id': 'request-1', tracestate: 'vendor=1', baggage: 'user=someone' };
    const { status } = await world.client.chat('m', {}, { headers: { ...headers, ...more } });
    expect(status).toBe(200);
    const trace = await collector.trace(traceId, 3);
    const path = '/v1/chat/completions';
    const name = `POST ${path}`;
    expect(trace.tree(spanId)).toEqual([
      [
        name,
        [
          ['decision', []],
          [name, []],
        ],
      ],
    ]);
    const [server] = trace.spans.filter(({ kind }) => kind === 'Server');
    expect(server).toMatchObject({
      status: 'Unset',
      traceState: 'vendor=1',
      resource: { 'service.name': 'hermes-router', 'telemetry.sdk.language': 'nodejs' },
    });
    expect(server.attributes).toMatchObject({
      'http.request.method': 'POST',
      'http.route': path,
      'http.response.status_code': 200,
      'gen_ai.operation.name': 'chat',
      'gen_ai.request.model': 'm',
      'gen_ai.request.stream': false,
      'gen_ai.usage.input_tokens': 12,
      'gen_ai.usage.output_tokens': 3,
      'gen_ai.usage.cache_read.input_tokens': 8,
      'hermes.request_id': 'request-1',
      'hermes.policy': 'default/m',
      'hermes.group': 'm',
    });
    const engine = engines.find(({ seen }) => seen.length > 0);
    const picked = `e${engines.findIndex(({ seen }) => seen.length > 0) + 1}`;
    const decision = trace.one('decision');
    expect(decision).toMatchObject({
      kind: 'Internal',
      attributes: { 'hermes.endpoint': picked, 'hermes.candidates': 3 },
    });
    const scores = (decision.attributes['hermes.scores'] as string[]).map((text) => JSON.parse(text) as Score);
    expect(scores.map(({ endpoint }) => endpoint).sort()).toEqual(['e1', 'e2', 'e3']);
    expect(scores[0].endpoint).toBe(picked);
    expect(scores[0].parts[0]).toMatchObject({ scorer: 'scorer-auto', weight: 1 });
    const [call] = trace.spans.filter(({ kind }) => kind === 'Client');
    expect(call.attributes).toMatchObject({
      'server.address': '127.0.0.1',
      'server.port': Number(engine?.address.split(':')[1]),
      'http.response.status_code': 200,
      'hermes.endpoint': picked,
    });
    expect(engine?.last.headers).toMatchObject({
      traceparent: `00-${traceId}-${call.spanId}-01`,
      tracestate: 'vendor=1',
      baggage: 'user=someone',
      'x-request-id': 'request-1',
    });
    inOrder(trace);
  });

  it('that streams tells when its first token came', async () => {
    const engines = await world.script(1, 'm');
    await world.serve([group('m', addresses(engines)), policy('m')], { env: collector.env });
    const { traceId, spanId, headers } = caller();
    await (await world.client.stream('m', {}, { headers })).drain();
    const trace = await collector.trace(traceId, 3);
    const [server] = trace.tree(spanId);
    expect(server[1].map(([name]) => name)).toEqual(['decision', 'POST /v1/chat/completions']);
    const call = trace.spans.find(({ kind }) => kind === 'Client');
    expect(call?.events.map(({ name }) => name)).toEqual(['first_token']);
    const attributes = trace.spans.find(({ kind }) => kind === 'Server')?.attributes ?? {};
    expect(attributes['gen_ai.request.stream']).toBe(true);
    expect(attributes['gen_ai.response.time_to_first_chunk']).toBeGreaterThan(0);
  });

  it('whose prefix has to be asked for tells how long that took', async () => {
    const [engine] = await world.script(1, 'm');
    const [manager] = await world.script(1, 'm', (_seen, response) => sendObject(response, {}));
    const kvCache = { type: 'Manager', manager: { url: `http://${manager.address}`, timeout: '1s' } };
    const documents = [group('m', [engine.address], { kvCache }), policy('m', { strategy: { type: 'KVAware' } })];
    await world.serve(documents, { env: collector.env });
    const { traceId, spanId, headers } = caller();
    expect((await world.client.chat('m', {}, { headers })).status).toBe(200);
    const [[, children]] = (await collector.trace(traceId, 4)).tree(spanId);
    expect(children.map(([child]) => child)).toEqual(['look-up', 'decision', 'POST /v1/chat/completions']);
    expect(manager.seen).toHaveLength(1);
  });

  it('that is tried again has a decision and a call for each try', async () => {
    const engines = await world.script(2, 'm', (_seen, response) => response.socket?.resetAndDestroy());
    await world.serve([group('m', addresses(engines)), policy('m')], { env: collector.env });
    const { traceId, spanId, headers } = caller();
    const { status } = await world.client.chat('m', {}, { headers });
    expect(status).toBe(502);
    const trace = await collector.trace(traceId, 5);
    const [[, children]] = trace.tree(spanId);
    const name = 'POST /v1/chat/completions';
    expect(children.map(([child]) => child)).toEqual(['decision', name, 'decision', name]);
    const failed = { status: 'Error', attributes: { 'error.type': 'reset' } };
    expect(trace.spans.filter(({ kind }) => kind === 'Client')).toMatchObject([failed, failed]);
    const attributes = { 'http.response.status_code': 502, 'error.type': 'upstream_unreachable', 'hermes.retries': 1 };
    expect(trace.spans.find(({ kind }) => kind === 'Server')).toMatchObject({ status: 'Error', attributes });
    expect(trace.spans.map(({ attributes }) => attributes['hermes.attempt']).sort()).toEqual([
      1,
      2,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('that is handed over has a call for each half', async () => {
    const [prefill] = await world.script(1, 'm', (_seen, response) =>
      sendObject(response, { kv_transfer_params: { a: 1 } }),
    );
    const [decode] = await world.script(1, 'm');
    const members = [member('p', prefill, 'prefill'), member('d', decode, 'decode')];
    await world.serve([pairedGroup('m', members), policy('m', { strategy: { type: 'PDKVAware' } })], {
      env: collector.env,
    });
    const { traceId, spanId, headers } = caller();
    expect((await world.client.chat('m', {}, { headers })).status).toBe(200);
    const trace = await collector.trace(traceId, 4);
    const name = 'POST /v1/chat/completions';
    const calls = ['decision', `prefill ${name}`, `decode ${name}`];
    expect(trace.tree(spanId)).toEqual([[name, calls.map((call) => [call, []])]]);
    for (const [stage, { last }] of [
      ['prefill', prefill],
      ['decode', decode],
    ] as const) {
      const call = trace.one(`${stage} ${name}`);
      expect(last.headers.traceparent).toBe(`00-${traceId}-${call.spanId}-01`);
      expect(call.attributes).toMatchObject({ 'http.response.status_code': 200, 'hermes.stage': stage });
    }
    const decision = trace.one('decision').attributes;
    expect(decision).toMatchObject({
      'hermes.prefill_endpoint': 'p',
      'hermes.decode_endpoint': 'd',
      'hermes.candidates': 2,
    });
  });

  it('hangs together over a router and the leader of a group', async () => {
    const [prefill] = await world.script(1, 'm', (_seen, response) =>
      sendObject(response, { kv_transfer_params: { a: 1 } }),
    );
    const [decode] = await world.script(1, 'm');
    const members = [member('p', prefill, 'prefill'), member('d', decode, 'decode')];
    const leader = await RunningLeader.start([pairedGroup('m', members)], [], collector.env);
    try {
      await world.serve([group('m', [leader.address]), policy('m')], { env: collector.env });
      const { traceId, spanId, headers } = caller();
      expect((await world.client.chat('m', {}, { headers })).status).toBe(200);
      const trace = await collector.trace(traceId, 7);
      const name = 'POST /v1/chat/completions';
      const leading = [
        name,
        [
          ['decision', []],
          [`prefill ${name}`, []],
          [`decode ${name}`, []],
        ],
      ];
      expect(trace.tree(spanId)).toEqual([
        [
          name,
          [
            ['decision', []],
            [name, [leading]],
          ],
        ],
      ]);
      const services = trace.spans
        .filter(({ kind }) => kind === 'Server')
        .map(({ resource }) => resource['service.name']);
      expect(services.sort()).toEqual(['hermes-router', 'hermes-router-pd-proxy']);
    } finally {
      await leader.close();
    }
  });

  it('of a client who leaves, and of one who asks for what there is not, ends, too', async () => {
    const engines = await world.script(
      1,
      'm',
      (_seen, response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {}\n\n'),
    );
    await world.serve([group('m', addresses(engines)), policy('m')], { env: collector.env });
    const left = caller();
    (await world.client.stream('m', {}, { headers: left.headers })).abandon();
    const gone = (await collector.trace(left.traceId, 3)).spans;
    expect(gone.find(({ kind }) => kind === 'Server')).toMatchObject({
      status: 'Unset',
      attributes: { 'http.response.status_code': 499, 'error.type': 'client_closed' },
    });
    expect(gone.find(({ kind }) => kind === 'Client')?.attributes).toMatchObject({ 'error.type': 'client_left' });
    const lost = caller();
    await world.client.post('/v1/none/of/ours', {}, { headers: lost.headers });
    const [span] = (await collector.trace(lost.traceId, 1)).spans;
    expect(span).toMatchObject({
      name: 'POST',
      attributes: { 'http.response.status_code': 404, 'error.type': 'unknown_url' },
    });
    expect(JSON.stringify(span)).not.toContain('none/of');
    const listed = caller();
    await world.client.get('/v1/models', listed.headers);
    expect((await collector.trace(listed.traceId, 1)).spans[0].name).toBe('GET /v1/models');
  });
});

describe('what goes on to an engine', () => {
  const ratio = (share: string) => ({
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: share,
  });
  /** Nothing goes by itself while the test runs. */
  const lazy = { OTEL_BSP_SCHEDULE_DELAY: '600000' };
  const never = { OTEL_TRACES_SAMPLER: 'always_off' };
  const always = { OTEL_TRACES_SAMPLER: 'always_on' };
  // T and S stand for ids of the case's own.
  const sampled = '00-T-S-01';

  it.each<[string, string | null, Record<string, string>, { same: boolean; flags: string }]>([
    ['none, all sampled', null, ratio('1'), { same: false, flags: '01' }],
    ['none, none sampled', null, ratio('0'), { same: false, flags: '00' }],
    ['a sampled one, roots not sampled', sampled, ratio('0'), { same: true, flags: '01' }],
    ['one that is not sampled, roots sampled', '00-T-S-00', ratio('1'), { same: true, flags: '00' }],
    ['a sampled one whatever it says', sampled, never, { same: true, flags: '00' }],
    ['one that is not, whatever it says', '00-T-S-00', always, { same: true, flags: '01' }],
    ['one with a random id', '00-T-S-03', ratio('0'), { same: true, flags: '03' }],
    ['one of a version to come', 'cc-T-S-01-what-is-to-come', ratio('0'), { same: true, flags: '01' }],
    ['no context', 'nonsense', ratio('1'), { same: false, flags: '01' }],
    ['one of zeros', `00-${'0'.repeat(32)}-${'1'.repeat(16)}-01`, ratio('1'), { same: false, flags: '01' }],
    ['one in capitals', `00-${'AB'.repeat(16)}-S-01`, ratio('1'), { same: false, flags: '01' }],
    ['one with more than there is in version 00', `${sampled}-00`, ratio('1'), { same: false, flags: '01' }],
  ])('where a client sends %s', async (_sentence, pattern, sampler, { same, flags }) => {
    const own = caller();
    const traceparent = pattern?.replace('T', own.traceId).replace('S', own.spanId) ?? null;
    const engines = await world.script(1, 'm');
    await world.serve([group('m', addresses(engines)), policy('m')], {
      env: { ...collector.env, ...sampler, ...lazy },
    });
    const headers = traceparent === null ? {} : { traceparent, tracestate: 'a=1,b=2', baggage: 'c=d' };
    expect((await world.client.chat('m', {}, { headers })).status).toBe(200);
    const got = engines[0].last.headers;
    const [version, traceId, spanId, gotFlags, ...rest] = String(got.traceparent).split('-');
    expect([version, gotFlags, rest]).toEqual(['00', flags, []]);
    expect(traceId).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
    expect(traceId === traceparent?.split('-')[1]).toBe(same);
    expect(spanId === traceparent?.split('-')[2]).toBe(false);
    expect([got.tracestate, got.baggage]).toEqual([
      same ? 'a=1,b=2' : undefined,
      traceparent === null ? undefined : 'c=d',
    ]);
    // The last batch goes when the router stops: of what is not sampled nothing may have come.
    world.router.process.signal('SIGTERM');
    expect(await world.router.process.exit).toBe(0);
    const { spans } = await collector.got();
    expect(spans.filter((span) => span.traceId === traceId)).toHaveLength(flags === '00' ? 0 : 3);
  });

  it('is what the client has sent, where nothing is traced', async () => {
    const engines = await world.script(1, 'm');
    await world.serve([group('m', addresses(engines)), policy('m')]);
    const headers = { traceparent: 'whatever this is', tracestate: 'a=1', baggage: 'c=d' };
    await world.client.chat('m', {}, { headers });
    expect(engines[0].last.headers).toMatchObject(headers);
    expect(await exportedBy(world.router)).toBe(0);
  });
});

function exportedBy(router: RunningRouter): Promise<number> {
  return metric(router, 'hermes_trace_spans_exported_total');
}

function member(name: string, { address }: ScriptedEngine, role: 'prefill' | 'decode'): PairMember {
  return { name, address, role, group: 'g' };
}

interface Score {
  readonly endpoint: string;
  readonly score: number;
  readonly parts: readonly { readonly scorer: string; readonly weight: number }[];
}

/** Children lie within their parents. */
function inOrder({ spans }: Trace): void {
  for (const span of spans) {
    const parent = spans.find(({ spanId }) => spanId === span.parentId);
    if (parent === undefined) continue;
    expect(BigInt(span.start)).toBeGreaterThanOrEqual(BigInt(parent.start));
    expect(BigInt(span.end)).toBeLessThanOrEqual(BigInt(parent.end));
  }
}
