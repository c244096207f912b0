import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { maxRanks, parseEventSources } from './sources.ts';

const good = { publisher: 'zmq', endpoint: 'tcp://*:5557', replay_endpoint: null, topic: 't' };
const source = { rank: 0, eventsPort: 5557, replayPort: null, topic: 't' };

test('what a real vLLM answers', () => {
  const answer = readFileSync(new URL('./testdata/kv_event_sources.txt', import.meta.url), 'utf8');
  const body = answer.slice(answer.indexOf('{'));
  expect(parseEventSources(body)).toEqual([{ rank: 0, eventsPort: 5557, replayPort: 5558, topic: 'kv-events' }]);
});

test.each<[string, unknown, unknown]>([
  ['no object', [1], null],
  ['no ranks', {}, []],
  [
    'two ranks',
    { 0: good, 1: { ...good, endpoint: 'tcp://[::1]:5558' } },
    [source, { ...source, rank: 1, eventsPort: 5558 }],
  ],
  ['a rank with a replay', { 0: { ...good, replay_endpoint: 'tcp://10.0.0.1:9' } }, [{ ...source, replayPort: 9 }]],
  ['no topic', { 0: { ...good, topic: undefined } }, [{ ...source, topic: '' }]],
  ['a topic without end', { 0: { ...good, topic: 'x'.repeat(1000) } }, [{ ...source, topic: '' }]],
  ['events of no network', { 0: { ...good, endpoint: 'inproc://cache' } }, []],
  ['another publisher', { 0: { ...good, publisher: 'null' } }, []],
  ['events switched off', { 0: { ...good, enable_kv_cache_events: false } }, []],
  ['a port beyond 65535', { 0: { ...good, endpoint: 'tcp://*:70000' } }, []],
  ['a port of 0', { 0: { ...good, endpoint: 'tcp://*:0' } }, []],
  ['a rank that is no number', { zero: good }, []],
  ['a rank beyond the most', { [maxRanks]: good }, []],
])('%s', (_name, answer, expected) => {
  expect(parseEventSources(JSON.stringify(answer))).toEqual(expected);
});

test('no JSON', () => {
  expect(parseEventSources('<html>')).toBe(null);
});
