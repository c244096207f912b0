import { fieldsOf, textOf, type Fields } from './fields.ts';

/** What every view has. */
export interface ObjectView {
  readonly namespace: string;
  readonly name: string;
}

/** Name and namespace of an object, or null where it has none: then it is no object of a namespace. */
export function placeOf(object: unknown): (ObjectView & { readonly metadata: Fields }) | null {
  const metadata = fieldsOf(fieldsOf(object).metadata);
  const name = textOf(metadata.name);
  const namespace = textOf(metadata.namespace);
  return name === '' || namespace === '' ? null : { namespace, name, metadata };
}
