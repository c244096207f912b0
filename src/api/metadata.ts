import { Type } from 'typebox';
import type { TUnsafe } from 'typebox';
import { labels } from './labels.ts';
import { labelName, objectName } from './names.ts';
import { closed } from './schema-node.ts';

// What the API server writes: taken as it comes, so that `kubectl get -o yaml` can be read back.
const served = {
  resourceVersion: Type.Optional(Type.String()),
  uid: Type.Optional(Type.String()),
  creationTimestamp: Type.Optional(Type.String()),
  deletionTimestamp: Type.Optional(Type.String()),
  generation: Type.Optional(Type.Integer()),
  deletionGracePeriodSeconds: Type.Optional(Type.Integer()),
  generateName: Type.Optional(Type.String()),
  selfLink: Type.Optional(Type.String()),
  finalizers: Type.Optional(Type.Array(Type.String())),
  ownerReferences: Type.Optional(Type.Array(Type.Object({}))),
  managedFields: Type.Optional(Type.Array(Type.Object({}))),
};

const annotations: TUnsafe<Record<string, string>> = Type.Unsafe<Record<string, string>>({
  type: 'object',
  additionalProperties: Type.String(),
});

/** ObjectMeta as far as it is read here; the API server has its own schema for it, so the CRD says only `object`. */
export const metadata = closed(
  {
    name: objectName('Name of the object.'),
    namespace: labelName('Namespace of the object.', { maxLength: 63, default: 'default' }),
    labels: Type.Optional(labels('Labels of the object.', { maxProperties: 1024 })),
    annotations: Type.Optional(annotations),
    ...served,
  },
  { description: 'Name, namespace and labels.' },
);
