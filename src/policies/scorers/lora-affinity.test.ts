import { describe, expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoints, readyStates, request } from '../../../test/fixtures/fleet.ts';
import type { AdapterReport } from '../../router/adapters.ts';
import { Flag } from '../../router/states.ts';
import { loraAffinityScorer } from './lora-affinity.ts';

function report(max: number, running: readonly string[], waiting: readonly string[] = []): AdapterReport {
  return { max, running, waiting, distinct: new Set([...running, ...waiting]).size };
}

/** What the scorer says of one endpoint each. */
function gains(reports: readonly (AdapterReport | null)[], model = 'sql', stale: readonly number[] = []): number[] {
  const states = readyStates(reports.length);
  for (const slot of stale) states.set(slot, Flag.stale, true);
  const context = contextOf(states, undefined, undefined, { lora: (slot) => reports[slot] });
  const candidates = candidatesOf(endpoints(reports.length));
  candidates.model = model;
  const out = new Float64Array(reports.length);
  loraAffinityScorer.create({}, context).score(request({ model: 'asked' }), candidates, out);
  return [...out];
}

describe('lora-affinity-scorer', () => {
  it.each([
    ['1 where the adapter is at work, be there room or not', report(1, ['sql']), 1],
    ['1 where it is at work among others', report(4, ['chat', 'sql'], ['sql']), 1],
    ['0.8 where nothing is at work', report(1, []), 0.8],
    ['0.8 where another is at work and one more fits', report(2, ['chat']), 0.8],
    ['0.8, not 0.6, where the adapter waits and there is room', report(2, [], ['sql']), 0.8],
    ['0.8 where an adapter in both lists takes one place of two', report(2, ['chat'], ['chat']), 0.8],
    ['0.6 where the adapter waits and there is no room', report(1, ['chat'], ['sql']), 0.6],
    ['0 where others have all the room', report(1, ['chat']), 0],
    ['0 where those that wait will have it', report(2, ['chat'], ['code']), 0],
    ['0 where a longer name holds the adapter', report(1, ['sql-large']), 0],
    ['0 where the engine does not say how many fit', report(0, []), 0],
    ['0 where it says nothing of adapters', null, 0],
  ])('is %s', (_sentence, said, expected) => {
    expect(gains([said])).toEqual([expected]);
  });

  it('goes by the model that the engine will be asked for, not by the one that the client asked for', () => {
    expect(gains([report(1, ['asked']), report(1, ['sql'])])).toEqual([0, 1]);
  });

  it('tells endpoints apart, and gives base models those with room', () => {
    const all = [report(1, ['sql']), report(1, ['chat']), report(1, []), null];
    expect(gains(all)).toEqual([1, 0, 0.8, 0]);
    expect(gains(all, 'base')).toEqual([0, 0, 0.8, 0]);
  });

  it('believes nothing that is stale', () => {
    expect(gains([report(1, ['sql']), report(1, ['sql'])], 'sql', [0])).toEqual([0, 1]);
  });
});
