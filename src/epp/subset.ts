import type { Endpoint } from '../router/endpoint.ts';
import type { RoutingPolicy } from '../router/policy.ts';

/** Ends in a port, and is no bare IPv6 address. */
const withPort = /^(\[.*\]|[^:]*):\d+$/;

/**
 * The addresses that a gateway's subset hint allows; null where it gives none. A host without a port allows every
 * port of that host.
 */
export function allowedBy(hint: readonly string[] | null, policy: RoutingPolicy): ReadonlySet<string> | null {
  if (hint === null) return null;
  return new Set(hint.flatMap((entry) => (withPort.test(entry) ? [entry] : addressesOn(entry, policy))));
}

function addressesOn(host: string, policy: RoutingPolicy): string[] {
  return [...endpointsOf(policy)].map(({ address }) => address).filter((address) => hostOf(address) === bare(host));
}

/** The endpoints of a policy that a comma list names, in its order, among those that are allowed. */
export function namedIn(list: string, policy: RoutingPolicy, allowed: ReadonlySet<string> | null): Endpoint[] {
  const entries = list.split(',').map((entry) => entry.trim());
  return entries.flatMap((entry) => {
    const found = endpointAt(policy, entry);
    return found !== null && (allowed === null || allowed.has(found.address)) ? [found] : [];
  });
}

/** The endpoint of a policy at an address, whose port may be missing. */
export function endpointAt(policy: RoutingPolicy, address: string): Endpoint | null {
  for (const endpoint of endpointsOf(policy)) if (endpoint.address === address) return endpoint;
  if (withPort.test(address)) return null;
  for (const endpoint of endpointsOf(policy)) if (hostOf(endpoint.address) === bare(address)) return endpoint;
  return null;
}

function* endpointsOf(policy: RoutingPolicy): Generator<Endpoint> {
  for (const { group } of policy.backends) yield* group.endpoints;
}

function hostOf(address: string): string {
  return bare(address.slice(0, address.lastIndexOf(':')));
}

function bare(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host;
}
