import { Type } from 'typebox';
import type { Static } from 'typebox';
import { labels } from './labels.ts';
import { labelName, origin, port, urlPath } from './names.ts';
import { closed } from './schema-node.ts';

const longest = 86_400;

/** Seconds as v25.09 writes durations; a millisecond is the least that a timer can tell. */
const seconds = (description: string) =>
  Type.Optional(
    Type.Number({
      minimum: 0.001,
      maximum: longest,
      description,
      'x-words': `a plain number of seconds from 0.001 to ${longest}`,
    }),
  );

const word = <const W extends string>(value: W, description: string) =>
  Type.Enum([value], { type: 'string', default: value, description });

/** Series of vLLM that tell how full the KV cache is: today's name, and the one before it. */
export const cacheUsageMetrics = ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc'] as const;
const queueMetrics = ['vllm:num_requests_waiting', 'vllm:num_requests_running'] as const;

export const strategies = ['kv-aware', 'round-robin', 'random'] as const;

const discovery = closed(
  {
    type: word('k8s-service', 'How engines are found.'),
    interval: seconds('Time between two looks at the Services.'),
    labelSelector: labels('Labels that the Services of the engines carry.', { minProperties: 1, maxProperties: 8 }),
    inferencePort: port('Port of the Services on which the engines answer.'),
    timeout: seconds('How long a look at the Services may take.'),
  },
  { description: 'How engines are found.' },
);

const collector = closed(
  {
    type: word('vllm', 'What the engines are.'),
    interval: seconds('Time between two scrapes of an engine.'),
    timeout: seconds('How long a scrape may take.'),
    metrics: Type.Optional(
      Type.Array(
        Type.Enum([...cacheUsageMetrics, ...queueMetrics], { type: 'string', description: 'A metric of vLLM.' }),
        {
          minItems: 1,
          maxItems: 16,
          'x-kubernetes-list-type': 'set',
          description: 'Metrics to decide by.',
          'x-words': 'a list of names of metrics, or leave it out',
        },
      ),
    ),
  },
  { description: 'How the load of the engines is read.' },
);

const kvmanager = closed(
  {
    url: origin('Scheme and host of the KV manager.'),
    port: Type.Optional(port('Port of the KV manager.')),
    matchPath: urlPath('Path of its matching interface.', '/match_sort'),
    timeout: seconds('How long a request waits for its answer.'),
  },
  { description: 'The global KV cache manager.' },
);

const app = closed(
  {
    namespace: Type.Optional(labelName('Namespace in which engines are looked for.', { maxLength: 63 })),
    strategy: Type.Optional(
      Type.Enum([...strategies], { type: 'string', description: 'How an engine is chosen for a request.' }),
    ),
    timeout: seconds('The whole exchange of a request that does not stream.'),
    discovery,
    collector: Type.Optional(collector),
    kvmanager: Type.Optional(kvmanager),
  },
  { description: 'The settings of v25.09.' },
);

/** The part of a values file or ConfigMap that configured v25.09; what stands beside `app` belongs to the chart. */
export const appConfigSchema = closed({ app }, { description: 'Configuration of v25.09.' });

export type AppSettings = Static<typeof app>;
