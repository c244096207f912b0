import { Type } from 'typebox';
import type { Static } from 'typebox';
import { modelName, objectName } from './names.ts';
import { closed, withRules } from './schema-node.ts';

const backendRef = closed(
  {
    kind: Type.Enum(['BackendGroup'], { type: 'string', default: 'BackendGroup', description: 'Kind of the backend.' }),
    name: objectName('Name of the backend, in the namespace of the policy.'),
    weight: Type.Integer({
      minimum: 0,
      maximum: 1000000,
      default: 1,
      description: 'Share of the traffic relative to the other weights, among backends with a ready endpoint.',
    }),
    rewriteModel: Type.Optional(modelName('Model name that the engines of this backend know, if it is another.')),
  },
  { description: 'A backend and its share of the traffic.' },
);

/** Where the requests of a policy go. */
export const backendRefs = withRules(
  Type.Array(backendRef, {
    minItems: 1,
    maxItems: 16,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['kind', 'name'],
    description: 'Backends that share the traffic by weight.',
  }),
  [
    {
      cel: 'self.exists(b, b.weight > 0)',
      message: 'has no weight above 0, so no backend would get a request',
      cure: 'give at least one backend a weight from 1 to 1000000',
      check: (refs) => refs.some(({ weight }) => weight > 0),
    },
  ],
);

export type BackendRef = Static<typeof backendRef>;
