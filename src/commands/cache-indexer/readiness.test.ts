import { expect, it } from 'vitest';
import { engineStates, type EngineState, type Followed } from './engines.ts';
import { ReadinessLatch } from './readiness.ts';

const state = (name: string, phase: EngineState['phase'], reason = ''): EngineState => {
  return { name, address: `${name}:1`, phase, reason };
};

it('is ready once every stream is live or given up, and stays so while others come', () => {
  const latch = new ReadinessLatch();
  const live = state('a', 'live');
  const dead = state('c', 'given_up', 'nobody there');
  expect(latch.look('not read yet', [], [])).toEqual({ ready: false, lines: ['waiting', 'not read yet'] });
  for (const phase of ['connecting', 'replaying'] as const) {
    const { ready, lines } = latch.look(null, [live, state('b', phase), dead], []);
    expect([ready, lines]).toEqual([false, ['waiting', `b (b:1): ${phase}`, 'c (c:1): given up: nobody there']]);
  }
  expect(latch.look(null, [live, dead], ['g: no Pods'])).toEqual({
    ready: true,
    lines: ['ok', 'g: no Pods', 'c (c:1): given up: nobody there'],
  });
  expect(latch.look(null, [live, state('d', 'connecting')], [])).toEqual({
    ready: true,
    lines: ['ok', 'd (d:1): connecting'],
  });
});

it('does not wait for a Pod that is not ready itself, nor for one without a port', () => {
  const followed = (name: string, more: Partial<Followed>, ready = true): Followed => ({
    group: 'n/g',
    seed: { name, address: `${name}:1`, labels: {}, ports: {}, ...(ready ? {} : { discoveredReady: false }) },
    target: { key: name, host: name, eventsPort: 1, replayPort: null, ranks: 1, topic: '', api: null },
    ...more,
  });
  const all = [
    followed('a', {}),
    followed('b', {}, false),
    followed('c', {}, false),
    followed('d', { target: { reason: 'no port' } }),
    followed('e', {}),
  ];
  const told = [
    { key: 'a', phase: 'replaying' as const, reason: '', ranks: [] },
    { key: 'b', phase: 'connecting' as const, reason: '', ranks: [] },
    { key: 'c', phase: 'live' as const, reason: '', ranks: [] },
  ];
  expect(engineStates(all, told).map(({ name, phase, reason }) => [name, phase, reason])).toEqual([
    ['a', 'replaying', ''],
    ['b', 'given_up', 'the Pod is not ready'],
    ['c', 'live', ''],
    ['d', 'given_up', 'no port'],
    ['e', 'connecting', ''],
  ]);
});
