// Envoy, our picker and both sides' spans: what belongs to one request hangs together.
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { ScriptedEngine } from './testkit/engine.ts';
import { EnvoyWorld } from './envoy/world.ts';
import { Collector, type GotSpan } from './otel/collector.ts';
import { group, policy } from './testkit/manifests.ts';
import { until } from './testkit/until.ts';

let collector: Collector;
beforeAll(async () => {
  collector = await Collector.start();
}, 300_000);
afterAll(() => collector.close());

let world: EnvoyWorld;
let engines: ScriptedEngine[];
beforeEach(async () => {
  world = new EnvoyWorld();
  engines = await world.script(2, 'm');
});
afterEach(() => world.close());

const ours = 'ext_proc POST /v1/chat/completions';
const chain = 'async envoy.service.ext_proc.v3.ExternalProcessor.Process egress';

async function serve(envoyTraces: boolean): Promise<void> {
  const documents = [group('g', world.addresses, { models: ['m'] }), policy('g', { match: { models: ['m'] } })];
  const { address, env } = collector;
  await world.serve(documents, { env }, envoyTraces ? { collector: address } : {});
}

/** The span of a request by its id. */
async function spanOf(requestId: string): Promise<GotSpan> {
  return until(`the span of ${requestId}`, async () => {
    const { spans } = await collector.got();
    return spans.find(({ attributes }) => attributes['hermes.request_id'] === requestId);
  });
}

it('the decision hangs below the call that Envoy has made for it, in the trace that Envoy has begun', async () => {
  await serve(true);
  const requestId = '6a1b1bd0-0001-4000-8000-000000000001';
  expect((await world.client.chat('m', {}, { headers: { 'x-request-id': requestId } })).status).toBe(200);
  const seen = engines.flatMap((engine) => engine.seen)[0];
  const id = String(seen.headers['x-request-id']);
  const { traceId } = await spanOf(id);
  const trace = await collector.trace(traceId, 5);
  const tree = trace.tree();
  expect(tree).toHaveLength(1);
  expect(Object.fromEntries(tree[0][1])).toEqual({
    [chain]: [[ours, [['decision', []]]]],
    'router inference egress': [],
  });
  // What goes to the engine is Envoy's own span, which we have not touched.
  const egress = trace.one('router inference egress');
  expect(seen.headers.traceparent).toBe(`00-${traceId}-${egress.spanId}-01`);
  const decision = trace.one('decision').attributes;
  const picked = engines.findIndex((engine) => engine.seen.length > 0);
  expect(decision).toMatchObject({ 'hermes.endpoint': `e${picked + 1}`, 'hermes.candidates': 2 });
  expect(String(decision['hermes.destination']).split(',')[0]).toBe(engines[picked].address);
  expect((decision['hermes.scores'] as string[]).length).toBe(2);
  expect(trace.one(ours)).toMatchObject({
    kind: 'Server',
    resource: { 'service.name': 'hermes-router-epp' },
    attributes: { 'http.response.status_code': 200, 'gen_ai.request.model': 'm', 'hermes.policy': 'default/g' },
  });
});

it('a client whose Envoy does not trace is the parent itself, and its headers reach the engine as they were', async () => {
  await serve(false);
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const traceparent = `00-${traceId}-b7ad6b7169203331-01`;
  const headers = { traceparent, tracestate: 'vendor=1', baggage: 'a=b' };
  await world.client.chat('m', {}, { headers });
  const trace = await collector.trace(traceId, 2);
  expect(trace.tree('b7ad6b7169203331')).toEqual([[ours, [['decision', []]]]]);
  expect(engines.flatMap((engine) => engine.seen)[0].headers).toMatchObject(headers);
});

it('what is refused has a span, too', async () => {
  await serve(false);
  const { status, headers } = await world.client.chat('nobody has this');
  expect(status).toBe(404);
  const span = await spanOf(String(headers['x-request-id']));
  const attributes = { 'http.response.status_code': 404, 'error.type': 'model_not_found' };
  expect(span).toMatchObject({ name: ours, status: 'Unset', attributes });
  expect(span.attributes).not.toHaveProperty('gen_ai.request.model');
});
