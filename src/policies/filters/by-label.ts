import { Type } from 'typebox';
import type { Endpoint } from '../../router/endpoint.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { defineFilter } from '../definition.ts';

/** Keeps endpoints whose label has one of the values. */
export const byLabel = defineFilter({
  kind: 'filter',
  type: 'filter-by-label',
  summary: 'Keeps endpoints whose label has one of the given values.',
  parameters: Type.Object(
    {
      label: Type.String({ minLength: 1, maxLength: 317, description: 'Name of the label.' }),
      values: Type.Array(Type.String({ maxLength: 63 }), {
        minItems: 1,
        maxItems: 64,
        description: 'Accepted values.',
      }),
    },
    { additionalProperties: false },
  ),
  create: ({ label, values }) => ({
    keep: (_request: InferenceRequest, endpoint: Endpoint): boolean => {
      const value = endpoint.labels[label];
      return value !== undefined && values.includes(value);
    },
    reason: (_request: InferenceRequest, endpoint: Endpoint): string => {
      const value = endpoint.labels[label];
      // A name such as `constructor` is there by birth, but not as text.
      const found = typeof value === 'string' ? `${label} is ${value}` : `no label ${label}`;
      return `${found}, not ${values.join(' or ')}`;
    },
  }),
});
