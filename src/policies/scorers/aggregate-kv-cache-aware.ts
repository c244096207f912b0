import { Type } from 'typebox';
import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { defineScorer } from '../definition.ts';
import { kvManagerParameters } from '../kv-manager.ts';
import { mostWaiting } from '../most-waiting.ts';
import { weight } from '../parameters.ts';

/**
 * The aggregate scorer of v25.12, kept as it is for ever (lowest wins):
 * `kvCacheHitNotRateWeight·(1 − hit) + xpuCacheUsageWeight·usage + waitingRequestWeight·waiting / max(1, most waiting)`.
 * `waiting` is the scraped number and what this router has sent there since.
 */
export const aggregateKvCacheAware = defineScorer({
  kind: 'scorer',
  type: 'scorer-aggregate-kv-cache-aware',
  summary: 'Misses of the KV cache, its usage and waiting requests, weighted (v25.12).',
  direction: 'cost',
  readsHits: true,
  parameters: Type.Object(
    {
      kvCacheHitNotRateWeight: weight('Weight of the share of the prompt that is not cached there.'),
      xpuCacheUsageWeight: weight("Weight of the engine's KV-cache usage, 0..1."),
      waitingRequestWeight: weight(
        'Weight of its waiting requests relative to the most that wait anywhere in the pool.',
      ),
      ...kvManagerParameters,
    },
    { additionalProperties: false },
  ),
  create: (parameters, { states }) => ({
    score(_request: InferenceRequest, candidates: Candidates, out: Float64Array): void {
      const { slots, cachedTokens, promptTokens, length } = candidates;
      const most = mostWaiting(states, candidates);
      for (let i = 0; i < length; i++) {
        const miss = 1 - Math.min(1, cachedTokens[i] / promptTokens);
        out[i] =
          parameters.kvCacheHitNotRateWeight * miss +
          parameters.xpuCacheUsageWeight * states.usageNow(slots[i]) +
          (parameters.waitingRequestWeight * states.waitingNow(slots[i])) / most;
      }
    },
  }),
});
