/** What the proxy does for a path. */
export type Route =
  | { readonly kind: 'inference'; readonly path: string }
  | { readonly kind: 'models' }
  | { readonly kind: 'model'; readonly id: string };

/** The prefix of v25.09; everything is served with and without it. */
const legacyPrefix = '/rest/hermes-router/v1beta1';
const modelPrefix = '/v1/models/';

const inference = ['/v1/chat/completions', '/v1/completions', '/v1/embeddings', '/v1/responses'];

/** Served paths with the path that engines know; v25.09 was also written with `completons`. */
const exact = new Map<string, Route>();
for (const path of inference) {
  const route: Route = Object.freeze({ kind: 'inference', path });
  for (const spelling of [path, path.replace('completions', 'completons')]) {
    exact.set(spelling, route);
    exact.set(legacyPrefix + spelling, route);
  }
}
exact.set('/v1/models', { kind: 'models' });
exact.set(`${legacyPrefix}/v1/models`, { kind: 'models' });

/** The route of a path without its query; null is 404. Only listed paths are served: engines have admin paths. */
export function routeOf(path: string): Route | null {
  const known = exact.get(path);
  if (known !== undefined) return known;
  const plain = path.startsWith(legacyPrefix) ? path.slice(legacyPrefix.length) : path;
  if (!plain.startsWith(modelPrefix) || plain.length === modelPrefix.length) return null;
  try {
    return { kind: 'model', id: decodeURIComponent(plain.slice(modelPrefix.length)) };
  } catch {
    // A broken percent escape names no model.
    return null;
  }
}

export function methodOf(route: Route): 'POST' | 'GET' {
  return route.kind === 'inference' ? 'POST' : 'GET';
}
