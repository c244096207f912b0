import { nearest } from './nearest.ts';
import { pluginKinds } from './endpoint-picker-config-plugins.ts';

const disaggregated =
  'prefill and decode are chosen by filter-by-pd-label, a PD scorer or picker and pd-header-handler, in one profile';
const byLabels = 'let the selector of the InferencePool choose, or use filter-by-label with `label` and `values`';
export const queues =
  'remove it: requests do not wait here; while all endpoints are saturated those of negative priority get 429';
const prefixes = 'use prefix-cache-scorer, or scorer-aggregate-kv-cache-aware, which asks cache-indexer';
const load = 'use queue-scorer';
const oneProfile = 'keep one profile and single-profile-handler';
const metrics = "remove it: the engines' metrics and models are always read";
export const endpointsFound = 'remove it: endpoints are those of the InferencePool';
const requests = 'remove it: requests are read as those of the OpenAI API';

/** Plugins of the reference picker and of llm-d that this picker has not, and what to do instead. */
export const instead: Readonly<Record<string, string>> = {
  'pd-profile-handler': disaggregated,
  'disagg-profile-handler': disaggregated,
  'prefill-header-handler': disaggregated,
  'disagg-headers-handler': disaggregated,
  'prefill-filter': disaggregated,
  'encode-filter': disaggregated,
  'decode-filter': byLabels,
  'by-label': byLabels,
  'by-label-selector': byLabels,
  'label-selector-filter': byLabels,
  'data-parallel-profile-handler':
    'list the ports of the ranks in `targetPorts` of the InferencePool: each is an endpoint',
  'header-profile-handler': oneProfile,
  'precise-prefix-cache-scorer': prefixes,
  'precise-prefix-cache-producer': prefixes,
  'token-producer': prefixes,
  tokenizer: prefixes,
  'no-hit-lru-scorer': 'remove it: prefix-cache-scorer and a load scorer spread cold requests',
  'token-load-scorer': load,
  'context-length-aware': load,
  'session-affinity-scorer': 'use scorer-session-affinity',
  'session-affinity-filter': 'use scorer-session-affinity',
  'concurrency-detector': 'use utilization-detector',
  'low-queue-filter': load,
  'least-queue-filter': load,
  'least-kv-cache-filter': 'use kv-cache-utilization-scorer',
  'lora-affinity-filter': 'use lora-affinity-scorer',
  'decision-tree-filter': 'use scorers',
  'kv-cache-scorer': 'write kv-cache-utilization-scorer, its name today',
};

/** The same for families of plugins, which grow from release to release. */
const families: readonly (readonly [name: RegExp, cure: string])[] = [
  [/-profile-handler$/, oneProfile],
  [/-decider$/, disaggregated],
  [/-producer$/, 'remove it, and what reads from it'],
  [/-parser$/, requests],
  [/-(data-source|extractor|notification-source)$/, metrics],
  [/-discovery$/, endpointsFound],
  [/-(fairness|ordering|usage-limit)-policy$|-admitter$|-admission(-plugin)?$/, queues],
  [/-detector$/, 'use utilization-detector'],
];

/** What is wrong with the name of a plugin that is not known, and what to do. */
export function ofUnknownPlugin(type: string): { readonly message: string; readonly cure: string } {
  const known = [...pluginKinds.keys()];
  const near = nearest(type, known);
  const cure = Object.hasOwn(instead, type)
    ? instead[type]
    : near === null
      ? families.find(([name]) => name.test(type))?.[1]
      : undefined;
  if (cure !== undefined) return { message: `is ${type}, which is not supported`, cure };
  const message = `is ${JSON.stringify(type)}, which is no plugin`;
  return { message, cure: near === null ? `name one of ${known.join(', ')}` : `did you mean \`${near}\`?` };
}
