import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { AccessLog } from '../access-log.ts';
import { FakeTracer } from './tracer.fixture.ts';
import { Trails, undecidedEnd, type TrailEnd, type TrailHead } from './trail.ts';

const head: TrailHead = { requestId: 'r', method: 'POST', traceparent: '', tracestate: '', startedAt: 1000 };
const whole: TrailEnd = {
  ...undecidedEnd, status: 200, code: null, group: 'g', endpoint: 'e', retries: 1, decisionMicroseconds: 7,
  timeToFirstToken: 5, promptTokens: 12, completionTokens: 3, cachedTokens: 0,
}; // prettier-ignore

function room({ traced = true, recording = true, logged = true } = {}) {
  const clock = new ManualClock();
  const lines: Record<string, unknown>[] = [];
  const sink = {
    pending: 0,
    write: (text: string) => {
      for (const line of text.trim().split('\n')) lines.push(JSON.parse(line) as Record<string, unknown>);
    },
  };
  const accessLog = logged ? new AccessLog(sink, clock, () => 0) : null;
  const tracer = new FakeTracer(recording);
  const trails = new Trails({ tracer: traced ? tracer : null, accessLog, now: () => clock.now(), prefix: 'p ' });
  const written = (): Record<string, unknown>[] => {
    accessLog?.flush();
    return lines;
  };
  return { clock, tracer, trails, written };
}

describe('a trail', () => {
  it('is a span and a line, which name each other', () => {
    const { clock, tracer, trails, written } = room();
    const trail = trails.open(head);
    trail.route('/v1/chat/completions');
    trail.take({ model: 'm', policy: 'ns/p', stream: true });
    clock.advance(20);
    trail.end(whole);
    const [span] = tracer.spans;
    expect(span).toMatchObject({ name: 'p POST /v1/chat/completions', startedAt: 1000, endedAt: 1020, error: null });
    expect(span.attributes).toEqual({
      'http.request.method': 'POST', 'http.route': '/v1/chat/completions', 'url.path': '/v1/chat/completions',
      'http.response.status_code': 200, 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'm',
      'gen_ai.request.stream': true, 'gen_ai.response.time_to_first_chunk': 0.005, 'gen_ai.usage.input_tokens': 12,
      'gen_ai.usage.output_tokens': 3, 'gen_ai.usage.cache_read.input_tokens': 0, 'hermes.request_id': 'r',
      'hermes.policy': 'ns/p', 'hermes.group': 'g', 'hermes.endpoint': 'e', 'hermes.retries': 1,
    }); // prettier-ignore
    expect(written()).toMatchObject([
      { requestId: 'r', traceId: span.traceId, model: 'm', stream: true, durationMs: 20 },
    ]);
  });

  it('ends once', () => {
    const { tracer, trails, written } = room();
    const trail = trails.open(head);
    trail.endEarly(404, 'model_not_found');
    trail.end(whole);
    expect(written()).toHaveLength(1);
    expect(tracer.spans[0].ends).toBe(1);
  });

  it.each<[string, number, string | null, string | null]>([
    ['a whole answer', 200, null, null],
    ["a client's mistake", 404, 'model_not_found', null],
    ['a client who leaves', 499, 'client_closed', null],
    ["an engine's own refusal", 422, null, null],
    ['an answer that broke off', 200, 'upstream_reset', 'upstream_reset'],
    ['no answer', 504, 'upstream_timeout', 'upstream_timeout'],
    ["an engine's own failure", 500, null, '500'],
  ])('of %s says whether that is a failure', (_sentence, status, code, error) => {
    const { tracer, trails } = room();
    trails.open(head).endEarly(status, code);
    expect(tracer.spans[0].error).toBe(error);
    if (error === null && code !== null) expect(tracer.spans[0].attributes['error.type']).toBe(code);
  });

  it('never repeats a method or a path that nobody serves', () => {
    const { tracer, trails, written } = room();
    trails.open({ ...head, method: 'SECRET' }).endEarly(405, 'method_not_allowed');
    expect(JSON.stringify([tracer.spans[0].name, tracer.spans[0].attributes, written()])).not.toContain('SECRET');
    expect(written()).toMatchObject([{ method: '_OTHER', path: 'other' }]);
  });

  it('of a trace that is not sampled tells its id, and works nothing out', () => {
    const { tracer, trails, written } = room({ recording: false });
    const trail = trails.open(head);
    expect(trail.recording).toBe(false);
    trail.route('/v1/completions');
    trail.end(whole);
    expect(tracer.spans[0].attributes).toEqual({});
    expect(written()).toMatchObject([{ traceId: tracer.spans[0].traceId, path: '/v1/completions' }]);
  });

  it('has no span where nothing is traced, and no line where none is written', () => {
    const untraced = room({ traced: false });
    const trail = untraced.trails.open(head);
    trail.end(whole);
    expect([untraced.trails.tracing, trail.span, trail.recording]).toEqual([false, null, false]);
    expect(untraced.written()).toMatchObject([{ traceId: null }]);
    const unlogged = room({ logged: false });
    unlogged.trails.open(head).end(whole);
    expect([unlogged.trails.tracing, unlogged.clock.pending]).toEqual([true, 0]);
  });
});
