import { RoutingError } from '../router/errors.ts';
import { isJson } from './media-type.ts';
import { methodOf, routeOf, type Route } from './routes.ts';

/** What is done for a path without its query. Throws RoutingError `unknown_url`. */
export function servedRoute(path: string): Route {
  const route = routeOf(path);
  if (route === null) throw new RoutingError('unknown_url', 'nothing is served at this path', { source: 'client' });
  return route;
}

/** Throws RoutingError `method_not_allowed`, which says which method the route takes. */
export function checkMethod(route: Route, method: string): void {
  checkAllowed(methodOf(route), method);
}

/** The same for a path that takes the one method. */
export function checkAllowed(allow: 'POST' | 'GET', method: string): void {
  if (method === allow) return;
  throw new RoutingError('method_not_allowed', `this path takes ${allow} only`, { source: 'client', allow });
}

/** Throws RoutingError `unsupported_media_type`. */
export function checkJson(contentType: string): void {
  if (isJson(contentType)) return;
  throw new RoutingError('unsupported_media_type', 'the content type must be application/json', { source: 'client' });
}
