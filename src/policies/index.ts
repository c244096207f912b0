import { byLabel } from './filters/by-label.ts';
import { pdHeader } from './handlers/pd-header.ts';
import { byPdLabel } from './pair-filters/by-pd-label.ts';
import { cheapestPair } from './pair-pickers/cheapest.ts';
import { randomBucket } from './pair-pickers/random-bucket.ts';
import { pdActiveTokens } from './pair-scorers/active-tokens.ts';
import { pdBucket } from './pair-scorers/bucket.ts';
import { pdKvCacheAware } from './pair-scorers/kv-cache-aware.ts';
import { pdLeastTime } from './pair-scorers/least-time.ts';
import { maxScore } from './pickers/max-score.ts';
import { minRandom } from './pickers/min-random.ts';
import { randomPicker } from './pickers/random.ts';
import { roundRobin } from './pickers/round-robin.ts';
import { weightedRandom } from './pickers/weighted-random.ts';
import { autoPreset } from './presets/auto.ts';
import { kvAwarePreset } from './presets/kv-aware.ts';
import { leastLoadPreset } from './presets/least-load.ts';
import { lMetricPreset } from './presets/lmetric.ts';
import { pdBucketPreset } from './presets/pd-bucket.ts';
import { pdKvAwarePreset } from './presets/pd-kv-aware.ts';
import { pdLeastTimePreset } from './presets/pd-least-time.ts';
import { randomPdBucketPreset } from './presets/random-pd-bucket.ts';
import { randomPreset } from './presets/random.ts';
import { roundRobinPreset } from './presets/round-robin.ts';
import { sessionAffinityPreset } from './presets/session-affinity.ts';
import { byType, type Registry } from './registry.ts';
import { activeRequestScorer } from './scorers/active-request.ts';
import { aggregateKvCacheAware } from './scorers/aggregate-kv-cache-aware.ts';
import { auto } from './scorers/auto.ts';
import { kvCacheUtilizationScorer } from './scorers/kv-cache-utilization.ts';
import { leastLoad } from './scorers/least-load.ts';
import { lMetric } from './scorers/lmetric.ts';
import { loadAwareScorer } from './scorers/load-aware.ts';
import { loraAffinityScorer } from './scorers/lora-affinity.ts';
import { prefixCacheScorer } from './scorers/prefix-cache.ts';
import { queueScorer } from './scorers/queue.ts';
import { runningRequestsSizeScorer } from './scorers/running-requests-size.ts';
import { sessionAffinity } from './scorers/session-affinity.ts';

/** Every policy there is; a new one is one file, its test, its doc and one line here. */
export const registry: Registry = Object.freeze({
  filters: byType([byLabel]),
  scorers: byType([
    activeRequestScorer,
    aggregateKvCacheAware,
    auto,
    kvCacheUtilizationScorer,
    leastLoad,
    lMetric,
    loadAwareScorer,
    loraAffinityScorer,
    prefixCacheScorer,
    queueScorer,
    runningRequestsSizeScorer,
    sessionAffinity,
  ]),
  pickers: byType([maxScore, minRandom, randomPicker, roundRobin, weightedRandom]),
  pairFilters: byType([byPdLabel]),
  pairScorers: byType([pdActiveTokens, pdBucket, pdKvCacheAware, pdLeastTime]),
  pairPickers: byType([cheapestPair, randomBucket]),
  handlers: byType([pdHeader]),
  presets: byType([
    autoPreset,
    kvAwarePreset,
    leastLoadPreset,
    lMetricPreset,
    pdBucketPreset,
    pdKvAwarePreset,
    pdLeastTimePreset,
    randomPdBucketPreset,
    randomPreset,
    roundRobinPreset,
    sessionAffinityPreset,
  ]),
});
