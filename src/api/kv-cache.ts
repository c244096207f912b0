import { Type } from 'typebox';
import type { Static } from 'typebox';
import { duration } from './duration.ts';
import { objectName, origin, port, urlPath } from './names.ts';
import { closed, withRules } from './schema-node.ts';
import { union } from './union.ts';

const managerService = closed(
  {
    name: objectName('Name of the Service, in the namespace of the group.'),
    port: port('Its port.', { default: 8080 }),
  },
  { description: 'The Service of the KV manager.' },
);

const manager = withRules(
  closed(
    {
      service: Type.Optional(managerService),
      url: Type.Optional(
        origin('Scheme, host and port of the KV manager; in a cluster only with `--allow-external-targets`.'),
      ),
      path: urlPath('Path of the query.', '/match_sort'),
      timeout: duration('How long a request waits for the answer; then it is routed without.', '100ms'),
    },
    { description: 'A KV manager that is asked before each decision.' },
  ),
  [
    {
      cel: 'has(self.service) != has(self.url)',
      message: 'needs exactly one of `service` and `url`',
      cure: 'write either `service` or `url`',
      check: ({ service, url }) => (service === undefined) !== (url === undefined),
    },
  ],
);

/** How the router knows which engine holds which prefix in its KV cache. */
export const kvCache = union(
  'How the router knows what the KV caches hold. Approximate: from what it has sent there itself. ' +
    'Manager: a KV manager is asked. None: not at all.',
  { Approximate: null, Manager: manager, None: null },
  { type: 'Approximate' },
);

export type KVCache = Static<typeof kvCache>;
