import { Type } from 'typebox';
import type { Static } from 'typebox';
import { conditions, pendingStatus } from './conditions.ts';
import { closed } from './schema-node.ts';
import { decimal, figure, observedGeneration, percent, text, time } from './status-fields.ts';

const summary = closed(
  {
    backends: text('Backends and their shares: `a 95%, b 5%`.', 512),
    requestsPerSecond: text('Requests a second: `12.5`.', 32),
    hit: text('Prompt tokens found in KV caches: `64%`.', 32),
    ttftP90: text('Time to the first token, 90th percentile: `210ms`.', 32),
  },
  { description: 'What `kubectl get` prints.' },
);

const traffic = closed(
  {
    windowSeconds: figure('Length of the window that the figures are of, in seconds.'),
    observedReplicas: figure('Replicas of the router that told their figures.'),
    requestsPerMinute: figure('Requests a minute.'),
    errorsPerMinute: figure('Failed requests a minute.'),
    prefixHitPercent: percent('Prompt tokens found in KV caches, in percent.'),
    ttftP50Milliseconds: figure('Median time to the first token, in milliseconds.'),
    ttftP90Milliseconds: figure('90th percentile of the time to the first token, in milliseconds.'),
  },
  { description: 'Traffic of the last minutes over all replicas.' },
);

const part = closed(
  {
    scorer: Type.String({ minLength: 1, maxLength: 253, description: 'Name of the scorer.' }),
    value: decimal('Mean of its scores.'),
    weight: decimal('Its weight.'),
  },
  { description: 'Part of one scorer.' },
);

const endpointScore = closed(
  {
    name: Type.String({ minLength: 1, maxLength: 253, description: 'Name of the endpoint.' }),
    group: Type.String({ minLength: 1, maxLength: 253, description: 'BackendGroup of the endpoint.' }),
    sharePercent: percent('Its share of the requests, in percent.'),
    score: decimal('Mean of its scores.'),
    breakdown: Type.Optional(
      Type.Array(part, { maxItems: 16, 'x-kubernetes-list-type': 'atomic', description: 'What the score is made of.' }),
    ),
  },
  { description: 'Scores of one endpoint.' },
);

const scores = closed(
  {
    updated: time('When the scores were gathered.'),
    endpoints: Type.Optional(
      Type.Array(endpointScore, {
        maxItems: 32,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['group', 'name'],
        description: 'Endpoints, at most 32.',
      }),
    ),
  },
  { description: 'How the endpoints scored lately.' },
);

const claim = closed(
  {
    since: Type.String({ format: 'date-time', maxLength: 64, description: 'Since when they are claimed.' }),
    models: Type.Array(
      Type.String({ minLength: 1, maxLength: 512, description: 'A name, or a prefix that ends in `*`.' }),
      {
        maxItems: 1024,
        'x-kubernetes-list-type': 'atomic',
        description: 'Names, and prefixes that end in `*`.',
      },
    ),
  },
  { description: 'Models that are claimed since one time.' },
);

export const routingPolicyStatus = closed(
  {
    observedGeneration,
    conditions: Type.Optional(conditions('Accepted, ResolvedRefs and Programmed.')),
    programmedReplicas: figure('Ready replicas of the router that run this generation.'),
    effectiveProfile: text(
      'What the strategy expands to; for single endpoints and for pairs, where its backends are of both kinds.',
      1024,
    ),
    claims: Type.Optional(
      Type.Array(claim, {
        maxItems: 64,
        'x-kubernetes-list-type': 'atomic',
        description:
          'Since when the policy claims the models that it or its backends name, which decides between namespaces.',
      }),
    ),
    summary: Type.Optional(summary),
    traffic: Type.Optional(traffic),
    scores: Type.Optional(scores),
  },
  {
    default: pendingStatus(['Accepted', 'ResolvedRefs', 'Programmed']),
    description: 'What the router makes of the policy.',
  },
);

export type RoutingPolicyStatus = Static<typeof routingPolicyStatus>;
