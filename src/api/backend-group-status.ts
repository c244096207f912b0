import { Type } from 'typebox';
import type { Static } from 'typebox';
import { conditions, pendingStatus } from './conditions.ts';
import { closed } from './schema-node.ts';
import { figure, named, observedGeneration, percent, text, time } from './status-fields.ts';

const summary = closed(
  {
    models: text('Models in one line: `Qwen/Qwen3-8B +1`.', 512),
    topology: text('Topology in one word.', 64),
    kvCachePercent: percent('Mean use of the KV caches, in percent.'),
  },
  { description: 'What `kubectl get` prints.' },
);

const endpoints = closed(
  {
    total: figure('Endpoints found.'),
    ready: figure('Endpoints that take requests.'),
    draining: figure('Endpoints that only end what they have.'),
    ejected: figure('Endpoints that failed requests have thrown out for a while.'),
  },
  { description: 'Endpoints by state.' },
);

const model = closed(
  {
    name: Type.String({ minLength: 1, maxLength: 253, description: 'Name of the model.' }),
    source: Type.Enum(['Declared', 'Learned'], {
      type: 'string',
      description: 'Whether the spec names it or an engine told it.',
    }),
  },
  { description: 'A model of the group.' },
);

const member = closed(
  {
    name: Type.String({ minLength: 1, maxLength: 253, description: 'Name of the endpoint.' }),
    address: text('Where it listens.', 261),
    role: text('Its role in the topology.', 63),
    ready: Type.Boolean({ description: 'Whether it takes requests.' }),
    reason: text('Why it takes none, in one word.', 256),
    staleSince: time('Since when its metrics are stale.'),
  },
  { description: 'An endpoint of the group.' },
);

export const backendGroupStatus = closed(
  {
    observedGeneration,
    conditions: Type.Optional(
      conditions('Accepted, Discovered and Ready; CacheKnown where what is known of the caches hangs on others.'),
    ),
    summary: Type.Optional(summary),
    endpoints: Type.Optional(endpoints),
    models: named(model, 64, 'Models of the group, at most 64.'),
    members: named(member, 64, 'Endpoints, at most 64, those first that are not ready.'),
  },
  { default: pendingStatus(['Accepted', 'Discovered', 'Ready']), description: 'What the router makes of the group.' },
);

export type BackendGroupStatus = Static<typeof backendGroupStatus>;
