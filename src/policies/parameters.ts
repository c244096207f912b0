import { Type } from 'typebox';

/** A plugin without parameters. */
export const noParameters = Type.Object({}, { additionalProperties: false });

/** A weight inside a formula: bounded, so that no product overflows. */
export const weight = (description: string, value = 1) =>
  Type.Number({ minimum: 0, maximum: 1000000, default: value, description });
