import { Type } from 'typebox';
import type { TSchema } from 'typebox';
import { metadata } from './metadata.ts';
import { labelName } from './names.ts';
import { closed } from './schema-node.ts';

export const group = 'hermes-router.io';
export const version = 'v1alpha1';
export const apiVersion = 'hermes-router.io/v1alpha1';

export const routerClassName = labelName('Which router owns this object and writes its status (`--router-class`).', {
  maxLength: 63,
  default: 'hermes',
});

/** A resource of this group as people write it: status is the router's, and no input. */
export const resource = <const K extends string, S extends TSchema>(kind: K, spec: S, description: string) =>
  closed(
    {
      apiVersion: Type.Enum([apiVersion], { type: 'string', description: 'Group and version of this resource.' }),
      kind: Type.Enum([kind], { type: 'string', description: 'Kind of this resource.' }),
      metadata,
      spec,
    },
    { description },
  );
