import { Type } from 'typebox';
import type { Static } from 'typebox';
import { closed } from './schema-node.ts';

/** That of Kubernetes' own metav1.Condition: a word, with the domain of its writer before it if that is another. */
const conditionType =
  '^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$';

const condition = closed(
  {
    type: Type.String({
      minLength: 1,
      maxLength: 316,
      pattern: conditionType,
      description: 'What the condition is about.',
    }),
    status: Type.Enum(['True', 'False', 'Unknown'], { type: 'string', description: 'Whether it holds.' }),
    observedGeneration: Type.Optional(
      Type.Integer({ minimum: 0, format: 'int64', description: 'Generation of the object that it speaks of.' }),
    ),
    lastTransitionTime: Type.String({
      format: 'date-time',
      maxLength: 64,
      description: 'When its status changed last.',
    }),
    reason: Type.String({
      minLength: 1,
      maxLength: 1024,
      pattern: '^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$',
      description: 'Why, in one CamelCase word.',
    }),
    message: Type.String({ maxLength: 32768, description: 'A sentence that says what to do.' }),
  },
  { description: 'One aspect of the state of an object.' },
);

/** Conditions of a resource; until a controller has seen the object they are Unknown for the reason Pending. */
export const conditions = (description: string) =>
  Type.Array(condition, {
    maxItems: 8,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['type'],
    description,
  });

/** The status of an object that no controller has seen. */
export const pendingStatus = (types: readonly string[]) => ({
  conditions: types.map((type) => ({
    type,
    status: 'Unknown',
    reason: 'Pending',
    message: 'Waiting for a router of this class.',
    lastTransitionTime: '1970-01-01T00:00:00Z',
  })),
});

export type Condition = Static<typeof condition>;
