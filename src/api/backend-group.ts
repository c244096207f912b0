import { Type } from 'typebox';
import type { Static } from 'typebox';
import { connection } from './connection.ts';
import { discovery } from './discovery.ts';
import { engineMetrics } from './engine-metrics.ts';
import { health } from './health.ts';
import { kvCache } from './kv-cache.ts';
import { modelName } from './names.ts';
import { resource, routerClassName } from './resource.ts';
import { closed } from './schema-node.ts';
import { topology } from './topology.ts';

const spec = closed(
  {
    routerClassName,
    models: Type.Array(modelName('Name of a model.'), {
      maxItems: 64,
      'x-kubernetes-list-type': 'set',
      default: [],
      description: 'Models that the engines serve; empty: learned from `/v1/models` of each engine.',
    }),
    engine: Type.Enum(['vLLM', 'SGLang', 'TensorRTLLM'], {
      type: 'string',
      default: 'vLLM',
      description: 'What the engines are, which tells the names of their metrics.',
    }),
    discovery,
    connection,
    topology,
    metrics: engineMetrics,
    kvCache,
    health,
  },
  { description: 'What the group is to be.' },
);

/** A set of engines that serve the same models. */
export const backendGroup = resource('BackendGroup', spec, 'A set of engines that serve the same models.');

export type BackendGroupSpec = Static<typeof spec>;
export type BackendGroup = Static<typeof backendGroup>;
