/** Fields and list indices from the top of a document. */
export type Path = readonly (string | number)[];

/** A path as faults show it: `spec.backendRefs[0].weight`, `metadata.labels[app.kubernetes.io/name]`. */
export function pathText(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'string' && /^[A-Za-z0-9_-]+$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += `[${part}]`;
  }
  return text;
}
