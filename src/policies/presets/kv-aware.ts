import { Type } from 'typebox';
import { definePreset } from '../definition.ts';
import { weight } from '../parameters.ts';

/** The aggregate formula of v25.12: cache misses, cache usage and waiting requests. */
export const kvAwarePreset = definePreset({
  kind: 'preset',
  type: 'KVAware',
  member: 'kvAware',
  summary: 'The aggregate formula of v25.12: cache misses, cache usage and waiting requests.',
  parameters: Type.Object(
    {
      hitWeight: weight('Weight of the share of the prompt that is not cached there.'),
      usageWeight: weight("Weight of the engine's KV-cache usage."),
      waitingWeight: weight('Weight of its waiting requests, relative to the most anywhere in the pool.'),
    },
    { additionalProperties: false },
  ),
  expand: ({ hitWeight, usageWeight, waitingWeight }) => ({
    scorers: [
      {
        type: 'scorer-aggregate-kv-cache-aware',
        weight: 1,
        parameters: {
          kvCacheHitNotRateWeight: hitWeight,
          xpuCacheUsageWeight: usageWeight,
          waitingRequestWeight: waitingWeight,
        },
      },
    ],
    picker: { type: 'picker-min-random' },
  }),
});
