/** Where objects are watched: some namespaces, or all of the cluster (null). */
export type Scope = readonly string[] | null;

/** Paths of a collection, one for each watch that the scope needs; `api` such as `/apis/apps/v1`. */
export function collectionPaths(scope: Scope, api: string, plural: string): string[] {
  if (scope === null) return [`${api}/${plural}`];
  return scope.map((namespace) => `${api}/namespaces/${encodeURIComponent(namespace)}/${plural}`);
}
