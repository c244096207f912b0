import { Type } from 'typebox';
import type { Static } from 'typebox';
import { headerName, headerValue, modelPattern } from './names.ts';
import { closed, withRules } from './schema-node.ts';

const headerMatch = closed(
  {
    type: Type.Enum(['Exact'], { type: 'string', default: 'Exact', description: 'How the value is compared.' }),
    name: headerName('Name of the header; case does not matter.'),
    value: headerValue('Its value.'),
  },
  { description: 'A header that a request must carry.' },
);

const headers = withRules(
  Type.Array(headerMatch, {
    maxItems: 8,
    'x-kubernetes-list-type': 'atomic',
    default: [],
    description: 'Headers that a request must carry, all of them.',
  }),
  [
    {
      cel: 'self.all(h, self.exists_one(o, o.name.lowerAscii() == h.name.lowerAscii()))',
      message: 'names a header twice',
      cure: 'name each header once; upper and lower case are the same',
      check: (list) => new Set(list.map(({ name }) => name.toLowerCase())).size === list.length,
    },
  ],
);

/** Which requests a policy takes. */
export const match = closed(
  {
    models: Type.Array(modelPattern('A model name, or a prefix that ends in `*`.'), {
      maxItems: 64,
      'x-kubernetes-list-type': 'set',
      default: [],
      description: 'Models; empty: every model that the backends serve.',
    }),
    headers,
  },
  { default: {}, description: 'Which requests the policy takes; left out: every model that its backends serve.' },
);

export type Match = Static<typeof match>;
