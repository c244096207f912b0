import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { createLog } from '../log.ts';
import { OtelTracer } from './otel-tracer.ts';
import type { TraceSettings } from './settings.ts';

const settings: TraceSettings = {
  url: 'http://127.0.0.1:9/v1/traces',
  headers: {},
  timeout: 1000,
  sampler: { root: 'traceidratio', parentBased: true },
  ratio: 1,
  resource: { 'service.name': 'test' },
  queue: { capacity: 1000, batch: 1000, delay: 1000, timeout: 1000 },
};
const nobody = { traceparent: '', tracestate: '' };

/** A tracer whose spans stay here. */
function room(over: Partial<TraceSettings> = {}) {
  const clock = new ManualClock();
  const wall = { time: 1_000_000 + clock.now() };
  const log = createLog(() => undefined);
  const tracer = new OtelTracer({ ...settings, ...over }, { clock, log, wallTime: () => wall.time, epoch: 1_000_000 });
  const spans: ReadableSpan[] = [];
  tracer.queue.push = (span) => void spans.push(span);
  return { clock, wall, tracer, spans };
}

const millis = ([seconds, nanoseconds]: readonly [number, number]): number => seconds * 1000 + nanoseconds / 1e6;

describe('spans of the library', () => {
  it('have the times of the clock, as the wall clock had them when the request came', () => {
    const { clock, wall, tracer, spans } = room();
    const span = tracer.begin('a', nobody, clock.now());
    const child = span.child('b', 'client', clock.now() + 1.5);
    child.event('c', clock.now() + 2);
    // Somebody sets the wall clock: what is under way goes on as it began.
    wall.time += 60_000;
    child.end(clock.now() + 3);
    span.end(clock.now() + 4);
    expect(spans.map(({ startTime, endTime }) => [millis(startTime), millis(endTime)])).toEqual([
      [1_001_001.5, 1_001_003],
      [1_001_000, 1_001_004],
    ]);
    expect(millis(spans[0].events[0].time)).toBe(1_001_002);
    tracer.begin('later', nobody, clock.now()).end(clock.now());
    expect(millis(spans[2].startTime)).toBe(1_061_000);
  });

  it('of one request are of one trace, and name each other', () => {
    const { tracer, spans } = room();
    const span = tracer.begin('a', nobody, 1);
    const child = span.child('b', 'internal', 2);
    expect(child.traceId).toBe(span.traceId);
    child.end(3, 'reset');
    span.end(4);
    expect(spans[0].parentSpanContext?.spanId).toBe(spans[1].spanContext().spanId);
    expect([spans[0].status.code, spans[0].attributes]).toEqual([2, { 'error.type': 'reset' }]);
    expect(tracer.begin('c', nobody, 5).traceId).not.toBe(span.traceId);
  });

  it('are recorded of a share of all traces', () => {
    const { tracer, spans } = room({ ratio: 0.25 });
    for (let i = 0; i < 4000; i++) {
      const span = tracer.begin('a', nobody, 1);
      expect(span.headers).toMatch(span.recording ? /-01\r\n$/ : /-00\r\n$/);
      span.end(2);
    }
    // Seven standard deviations: red without reason once in 10^11 runs.
    expect(Math.abs(spans.length - 1000)).toBeLessThan(192);
  });

  it('of a trace that is not recorded go nowhere, and the context goes on', () => {
    const { tracer, spans } = room();
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const caller = { traceparent: `00-${traceId}-b7ad6b7169203331-02`, tracestate: 'a=1, b=2' };
    const span = tracer.begin('a', caller, 1);
    span.set({ x: 1 });
    span.child('b', 'client', 2).end(3);
    span.end(4);
    expect([span.recording, span.traceId, spans]).toEqual([false, traceId, []]);
    const lines = `^traceparent: 00-${traceId}-(?!b7ad6b7169203331)[0-9a-f]{16}-02\r\ntracestate: a=1,b=2\r\n$`;
    expect(span.headers).toMatch(new RegExp(lines));
  });
});
