import { Type } from 'typebox';
import { definePreset } from '../definition.ts';
import { weight } from '../parameters.ts';
import { pairsByLabel } from '../pairs-by-label.ts';

/** The KV-aware pair formula of v25.12. */
export const pdKvAwarePreset = definePreset({
  kind: 'preset',
  type: 'PDKVAware',
  member: 'pdKVAware',
  summary: 'The pair formula of v25.12: cache misses of the prefiller, cache usage and waiting requests of both.',
  parameters: Type.Object(
    {
      hitWeight: weight('Weight of the share of the prompt that the prefiller has not cached.'),
      usageWeight: weight("Weight of each engine's KV-cache usage."),
      prefillWaitingWeight: weight(
        "Weight of the prefiller's waiting requests, relative to the most at any prefiller.",
      ),
      decodeWaitingWeight: weight("Weight of the decoder's waiting requests, relative to the most at any decoder."),
      prefillWeight: weight("Weight of the prefiller's score."),
      decodeWeight: weight("Weight of the decoder's score."),
    },
    { additionalProperties: false },
  ),
  expand: (parameters) =>
    pairsByLabel(
      [
        {
          type: 'scorer-pd-kv-cache-aware',
          weight: 1,
          parameters: {
            kvCacheHitNotRateWeight: parameters.hitWeight,
            xpuCacheUsageWeight: parameters.usageWeight,
            prefillWaitingRequestWeight: parameters.prefillWaitingWeight,
            decodeWaitingRequestWeight: parameters.decodeWaitingWeight,
            prefillPodScoreWeight: parameters.prefillWeight,
            decodePodScoreWeight: parameters.decodeWeight,
          },
        },
      ],
      'picker-pd-kv-cache-aware',
    ),
});
