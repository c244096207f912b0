import { Type } from 'typebox';
import type { PairCosts, Pairs } from '../../router/pairs.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { definePairScorer } from '../definition.ts';
import { kvManagerParameters } from '../kv-manager.ts';
import { mostWaiting } from '../most-waiting.ts';
import { weight } from '../parameters.ts';

/**
 * The KV-aware pair scorer of v25.12, kept as it is for ever (lowest wins):
 * prefiller `kvCacheHitNotRateWeight·(1 − hit) + xpuCacheUsageWeight·usage + prefillWaitingRequestWeight·waiting`,
 * decoder `xpuCacheUsageWeight·usage + decodeWaitingRequestWeight·waiting`, a pair
 * `prefillPodScoreWeight·P + decodePodScoreWeight·D`. `waiting` is relative to the most among all pods of the role,
 * never of the group: of one pod a group's most says nothing but busy or idle.
 */
export const pdKvCacheAware = definePairScorer({
  kind: 'pair-scorer',
  type: 'scorer-pd-kv-cache-aware',
  summary: 'Pairs by KV-cache misses, cache usage and waiting requests, weighted (v25.12).',
  readsHits: true,
  parameters: Type.Object(
    {
      kvCacheHitNotRateWeight: weight('Weight of the share of the prompt that the prefiller has not cached.'),
      xpuCacheUsageWeight: weight("Weight of each engine's KV-cache usage, 0..1."),
      prefillWaitingRequestWeight: weight('Weight of requests that wait at the prefiller.'),
      decodeWaitingRequestWeight: weight('Weight of requests that wait at the decoder.'),
      prefillPodScoreWeight: weight("Weight of the prefiller's score."),
      decodePodScoreWeight: weight("Weight of the decoder's score."),
      ...kvManagerParameters,
    },
    { additionalProperties: false },
  ),
  create: (parameters, { states }) => ({
    score(_request: InferenceRequest, { prefills, decodes, promptTokens }: Pairs, costs: PairCosts): void {
      const mostPrefill = mostWaiting(states, prefills);
      for (let i = 0; i < prefills.length; i++) {
        const slot = prefills.slots[i];
        const miss = 1 - Math.min(1, prefills.cachedTokens[i] / promptTokens);
        costs.prefills.costs[i] =
          parameters.prefillPodScoreWeight *
          (parameters.kvCacheHitNotRateWeight * miss +
            parameters.xpuCacheUsageWeight * states.usageNow(slot) +
            (parameters.prefillWaitingRequestWeight * states.waitingNow(slot)) / mostPrefill);
      }
      const mostDecode = mostWaiting(states, decodes);
      for (let i = 0; i < decodes.length; i++) {
        const slot = decodes.slots[i];
        costs.decodes.costs[i] =
          parameters.decodePodScoreWeight *
          (parameters.xpuCacheUsageWeight * states.usageNow(slot) +
            (parameters.decodeWaitingRequestWeight * states.waitingNow(slot)) / mostDecode);
      }
    },
  }),
});
