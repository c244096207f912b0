import { expect, it } from 'vitest';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import { AccessLog, type AccessRecord } from './access-log.ts';

const record: AccessRecord = {
  requestId: 'r', traceId: null, model: 'm', policy: 'ns/p', group: 'g', endpoint: 'e', prefillEndpoint: null,
  method: 'POST', path: '/v1/chat/completions', status: 200, code: null, stream: true, retries: 0,
  decisionMicroseconds: 7.12345, timeToFirstToken: 12.3456, duration: 20, promptTokens: 3, completionTokens: -1, cachedTokens: -1,
}; // prettier-ignore

function room() {
  const clock = new ManualClock();
  const sink = { texts: [] as string[], pending: 0, write: (text: string) => void sink.texts.push(text) };
  return { clock, sink, log: new AccessLog(sink, clock, () => 0) };
}

it('lines are written together, soon, and say null where nothing is known', () => {
  const { clock, sink, log } = room();
  log.write(record);
  log.write({ ...record, requestId: 's' });
  expect(sink.texts).toEqual([]);
  clock.advance(50);
  expect(sink.texts).toHaveLength(1);
  const lines = sink.texts[0].split('\n');
  expect(lines).toHaveLength(3);
  expect(JSON.parse(lines[0])).toEqual({
    level: 'info', msg: 'request', time: '1970-01-01T00:00:00.000Z', requestId: 'r', traceId: null, model: 'm',
    policy: 'ns/p', group: 'g', endpoint: 'e', prefillEndpoint: null, method: 'POST', path: '/v1/chat/completions',
    status: 200, code: null, stream: true, retries: 0, decisionMicroseconds: 7.123, ttftMs: 12.346, durationMs: 20,
    promptTokens: 3, completionTokens: null, cachedTokens: null,
  }); // prettier-ignore
  expect(clock.pending).toBe(0);
});

it('many lines do not wait', () => {
  const { sink, log } = room();
  for (let i = 0; i < 300; i++) log.write(record);
  expect(sink.texts.length).toBeGreaterThan(0);
});

it('what waits is written when it is asked for, once', () => {
  const { clock, sink, log } = room();
  log.write(record);
  log.flush();
  log.flush();
  clock.advance(1000);
  expect(sink.texts).toHaveLength(1);
});

it('where nobody takes lines they are dropped and counted, until somebody does', () => {
  const { sink, log } = room();
  sink.pending = 5 * 1024 * 1024;
  log.write(record);
  log.write(record);
  sink.pending = 0;
  log.write(record);
  log.flush();
  expect([log.dropped, sink.texts.join('').split('\n').length]).toEqual([2, 2]);
});

it('names may hold anything', () => {
  const { sink, log } = room();
  const names = { model: 'a"b\\', policy: 'line\nbreak', group: 'łódź', endpoint: '\u2028', code: '' };
  log.write({ ...record, ...names });
  log.flush();
  expect(sink.texts[0].split('\n')).toHaveLength(2);
  expect(JSON.parse(sink.texts[0])).toMatchObject(names);
});
