import { Type } from 'typebox';
import type { Static } from 'typebox';
import { modelName, objectName } from './names.ts';
import { group as ownGroup } from './resource.ts';
import { closed, withRules } from './schema-node.ts';

/** API group of the Gateway API Inference Extension's InferencePool. */
export const poolGroup = 'inference.networking.k8s.io';

const backendRef = withRules(
  closed(
    {
      group: Type.Optional(
        Type.Enum([ownGroup, poolGroup], {
          type: 'string',
          description: 'API group of the backend, as the Gateway API writes it; it follows from `kind`.',
        }),
      ),
      kind: Type.Enum(['BackendGroup', 'InferencePool'], {
        type: 'string',
        default: 'BackendGroup',
        description:
          'Kind of the backend. An InferencePool has the settings of the BackendGroup that discovers it, or else the default ones.',
      }),
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
  ),
  [
    {
      cel: `!has(self.group) || (self.group == '${poolGroup}') == (self.kind == 'InferencePool')`,
      message: 'is not the API group of that kind',
      cure: `write ${ownGroup} for a BackendGroup and ${poolGroup} for an InferencePool, or leave it out`,
      field: 'group',
      check: ({ group, kind }) => group === undefined || (group === poolGroup) === (kind === 'InferencePool'),
    },
  ],
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
