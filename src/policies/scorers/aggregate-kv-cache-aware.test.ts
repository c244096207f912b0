import { describe, expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoints, readyStates, request } from '../../../test/fixtures/fleet.ts';
import { Reservation } from '../../router/reservation.ts';
import { aggregateKvCacheAware } from './aggregate-kv-cache-aware.ts';

const only = { kvCacheHitNotRateWeight: 0, xpuCacheUsageWeight: 0, waitingRequestWeight: 0 };
const all = { kvCacheHitNotRateWeight: 1, xpuCacheUsageWeight: 1, waitingRequestWeight: 1 };
const manager = {
  kvCacheManagerIP: 'm',
  kvCacheManagerPort: 1,
  kvCacheManagerPath: '/',
  kvCacheManagerTimeout: 1,
};

interface Engine {
  cached?: number;
  usage?: number;
  waiting?: number;
  sent?: number;
}

/** The costs of engines for a prompt of 100 tokens. */
function costs(parameters: typeof all, engines: Engine[]): number[] {
  const states = readyStates(engines.length);
  engines.forEach(({ usage = 0, waiting = 0, sent = 0 }, slot) => {
    states.scrapeStarts(slot);
    states.scrapeSucceeds(slot, { waiting, running: 0, usage }, 1);
    for (let i = 0; i < sent; i++) new Reservation(states, slot, 1);
  });
  const out = new Float64Array(engines.length);
  const candidates = candidatesOf(
    endpoints(engines.length),
    100,
    engines.map(({ cached = 0 }) => cached),
  );
  aggregateKvCacheAware.create({ ...manager, ...parameters }, contextOf(states)).score(request(), candidates, out);
  return [...out];
}

describe('scorer-aggregate-kv-cache-aware', () => {
  it.each<[string, typeof all, Engine[], number[]]>([
    [
      'the miss rate',
      { ...only, kvCacheHitNotRateWeight: 2 },
      [{ cached: 25 }, { cached: 0 }, { cached: 500 }],
      [1.5, 2, 0],
    ],
    ['usage, as it is scraped: 0..1', { ...only, xpuCacheUsageWeight: 3 }, [{ usage: 0.5 }, {}], [1.5, 0]],
    [
      'waiting relative to the most in the pool',
      { ...only, waitingRequestWeight: 4 },
      [{ waiting: 8 }, { waiting: 2 }, {}],
      [4, 1, 0],
    ],
    ['waiting relative to at least one', { ...only, waitingRequestWeight: 1 }, [{ waiting: 0.5 }], [0.5]],
    [
      'waiting with what was sent since the scrape',
      { ...only, waitingRequestWeight: 1 },
      [{ waiting: 1, sent: 1 }, { waiting: 4 }],
      [0.5, 1],
    ],
    [
      'the sum of all, by default weight 1 each',
      all,
      [
        { cached: 100, usage: 0.5, waiting: 2 },
        { usage: 0.25, waiting: 4 },
      ],
      [0 + 0.5 + 0.5, 1 + 0.25 + 1],
    ],
  ])('%s', (_sentence, parameters, engines, expected) => {
    expect(costs(parameters, engines)).toEqual(expected);
  });
});
