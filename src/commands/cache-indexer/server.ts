import { createProxyServer, type ProxyServer } from '../../proxy/server.ts';
import type { Clock } from '../../router/clock.ts';
import type { IndexerDoor } from './door.ts';

/** Milliseconds for a request to arrive, and for its answer to be read. */
export const patience = 30_000;

/** The HTTP server: the proxy's own framing, since routers ask before each decision. */
export function indexerServer(door: IndexerDoor, clock: Clock, maxConnections: number): ProxyServer {
  const timeouts = { headers: patience, request: patience, send: patience };
  return createProxyServer({ clock, maxConnections, timeouts }, (request, response) => door.handle(request, response));
}
