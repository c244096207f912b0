import { byLabel } from './filters/by-label.ts';
import { minRandom } from './pickers/min-random.ts';
import { roundRobin } from './pickers/round-robin.ts';
import { autoPreset } from './presets/auto.ts';
import { kvAwarePreset } from './presets/kv-aware.ts';
import { leastLoadPreset } from './presets/least-load.ts';
import { lMetricPreset } from './presets/lmetric.ts';
import { randomPreset } from './presets/random.ts';
import { roundRobinPreset } from './presets/round-robin.ts';
import { sessionAffinityPreset } from './presets/session-affinity.ts';
import { byType, type Registry } from './registry.ts';
import { aggregateKvCacheAware } from './scorers/aggregate-kv-cache-aware.ts';
import { auto } from './scorers/auto.ts';
import { kvCacheUtilizationScorer } from './scorers/kv-cache-utilization.ts';
import { leastLoad } from './scorers/least-load.ts';
import { lMetric } from './scorers/lmetric.ts';
import { prefixCacheScorer } from './scorers/prefix-cache.ts';
import { queueScorer } from './scorers/queue.ts';
import { sessionAffinity } from './scorers/session-affinity.ts';

/** Every policy there is; a new one is one file, its test, its doc and one line here. */
export const registry: Registry = Object.freeze({
  filters: byType([byLabel]),
  scorers: byType([
    aggregateKvCacheAware,
    auto,
    kvCacheUtilizationScorer,
    leastLoad,
    lMetric,
    prefixCacheScorer,
    queueScorer,
    sessionAffinity,
  ]),
  pickers: byType([minRandom, roundRobin]),
  presets: byType([
    autoPreset,
    kvAwarePreset,
    leastLoadPreset,
    lMetricPreset,
    randomPreset,
    roundRobinPreset,
    sessionAffinityPreset,
  ]),
});
