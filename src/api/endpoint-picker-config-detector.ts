import { Type } from 'typebox';
import { defaultBounds, type SaturationBounds } from '../router/saturation.ts';

/** Seconds, milliseconds … as Go writes them. */
const goDuration = (description: string) =>
  Type.String({
    maxLength: 32,
    pattern: '^([0-9]+(\\.[0-9]+)?(h|m|s|ms|us|µs|ns)){1,6}$',
    description,
    'x-words': 'a duration like 200ms or 1m30s',
  });

/** Thresholds of saturation: of the section `saturationDetector`, and of the plugin `utilization-detector`. */
export const detectorFields = {
  queueDepthThreshold: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      description: 'An endpoint with more waiting requests is saturated; 5 where it is left out.',
    }),
  ),
  kvCacheUtilThreshold: Type.Optional(
    Type.Number({
      exclusiveMinimum: 0,
      maximum: 1,
      minimum: 0,
      description: 'An endpoint whose KV cache is fuller is saturated, 0..1; 0.8 where it is left out.',
    }),
  ),
  metricsStalenessThreshold: Type.Optional(goDuration('No effect: scraped numbers count until they are 10 s old.')),
};

/** Thresholds as a file gives them, and the reference's where it does not. */
export function boundsOf(fields: Readonly<Record<string, unknown>>): SaturationBounds {
  const { queueDepthThreshold, kvCacheUtilThreshold } = fields;
  return {
    queueDepth: typeof queueDepthThreshold === 'number' ? queueDepthThreshold : defaultBounds.queueDepth,
    cacheUsage: typeof kvCacheUtilThreshold === 'number' ? kvCacheUtilThreshold : defaultBounds.cacheUsage,
  };
}
