import { Type } from 'typebox';
import type { TSchema } from 'typebox';

/** Fields of a status: written by the router only, and left out while nothing is known. */
export const figure = (description: string) =>
  Type.Optional(Type.Integer({ minimum: 0, maximum: 2147483647, format: 'int32', description }));

export const percent = (description: string) => Type.Optional(Type.Integer({ minimum: 0, maximum: 100, description }));

export const text = (description: string, maxLength = 256) => Type.Optional(Type.String({ maxLength, description }));

export const time = (description: string) =>
  Type.Optional(Type.String({ format: 'date-time', maxLength: 64, description }));

/** A number as a decimal string: floats are not for status, since they do not survive every client. */
export const decimal = (description: string) =>
  Type.Optional(Type.String({ maxLength: 32, pattern: '^-?[0-9]{1,18}(\\.[0-9]{1,9})?$', description }));

export const observedGeneration = Type.Optional(
  Type.Integer({ minimum: 0, format: 'int64', description: 'Generation of the spec that this status speaks of.' }),
);

/** A list whose items are told apart by `name`. */
export const named = <S extends TSchema>(items: S, maxItems: number, description: string) =>
  Type.Optional(
    Type.Array(items, {
      maxItems,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      description,
    }),
  );
