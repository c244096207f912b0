import type { Decision } from '../router/decision.ts';
import type { RoutingPolicy } from '../router/policy.ts';
import { profileFor } from '../router/profiles.ts';
import type { RequestHead } from './request-head.ts';
import type { HeaderChange, SetHeader } from './wire/response.ts';

const destinationHeader = 'x-gateway-destination-endpoint';

/** What becomes of a request that has been placed. */
export interface Onward {
  readonly policy: RoutingPolicy;
  readonly decision: Decision;
  /** The pick and its fallbacks, in order, with commas between. */
  readonly destination: string;
  /** The path that engines know. */
  readonly path: string;
  /** Bytes of the body that goes on; -1 for a request without one. */
  readonly bodyBytes: number;
}

/** The changes of a request's headers on its way to an engine. */
export function requestChange(head: RequestHead, onward: Onward): HeaderChange {
  const { decision, destination, path, bodyBytes } = onward;
  const { connection } = decision.backend.group;
  const set: SetHeader[] = [{ name: destinationHeader, value: destination }];
  // Envoy takes the length away and sends chunks; another gateway may not, and the body may have changed.
  if (bodyBytes >= 0) set.push({ name: 'content-length', value: String(bodyBytes) });
  if (head.hasNewId) set.push({ name: 'x-request-id', value: head.requestId });
  if (path !== head.path) set.push({ name: ':path', value: path + head.query });
  if (connection.apiKey !== undefined) set.push({ name: 'authorization', value: `Bearer ${connection.apiKey}` });
  addHandover(onward, set);
  const hidesKey = head.hasAuthorization && connection.apiKey === undefined && !connection.forwardAuthorization;
  return { set, remove: removed(head, set, hidesKey), clearRouteCache: true, destination };
}

/** Tells a leader whom the work was given to. */
function addHandover({ policy, decision }: Onward, set: SetHeader[]): void {
  const headers = profileFor(policy, decision.backend.group)?.parts.pairs?.headers;
  if (decision.handover === null || headers === undefined) return;
  for (const { name, side } of headers) set.push({ name, value: decision.handover[side].address });
}

function removed(head: RequestHead, set: readonly SetHeader[], hidesKey: boolean): readonly string[] {
  const { dropped } = head;
  if (dropped.length === 0 && !hidesKey) return dropped;
  // What is set replaces what is there; to name it twice would leave to the gateway which counts.
  const names = dropped.filter((name) => set.every((header) => header.name !== name));
  return hidesKey ? [...names, 'authorization'] : names;
}
