import type { NamedPair } from '../../router/decision.ts';
import type { Endpoint } from '../../router/endpoint.ts';
import { RoutingError } from '../../router/errors.ts';
import type { PairRole } from '../../router/pair-grouping.ts';
import type { RoutingPolicy } from '../../router/policy.ts';
import { topologyFor } from '../../router/profiles.ts';
import type { HeaderLookup } from '../../router/request.ts';

const prefillHeader = 'x-openfuyao-prefill-pod-address-port';
const decodeHeader = 'x-openfuyao-decode-pod-address-port';

/** `ip:port` or `[v6]:port`; whether it is an engine's is told by the table alone. */
const addressPattern = /^(\[[0-9a-fA-F:.]{2,45}\]|[0-9.]{7,15}):[0-9]{1,5}$/;

/**
 * The pair that a picker has named to us as leader; null unless both sides are named. Throws RoutingError for what is
 * no address, and for addresses that are not a prefiller and a decoder of one of the policy's groups: a leader is no
 * relay to wherever a header says.
 */
export function namedPair(headers: HeaderLookup, policy: RoutingPolicy): NamedPair | null {
  const prefill = headers.get(prefillHeader);
  const decode = headers.get(decodeHeader);
  if (prefill === undefined || decode === undefined) return null;
  check(prefill, prefillHeader);
  check(decode, decodeHeader);
  const group = groupOf(policy, prefill, 'prefill');
  if (group === null) throw refused(prefillHeader, 'names no prefill engine that is known here');
  const decodeGroup = groupOf(policy, decode, 'decode');
  if (decodeGroup === null) throw refused(decodeHeader, 'names no decode engine that is known here');
  if (group !== decodeGroup) throw refused(decodeHeader, 'names an engine of another group than the prefill engine');
  return { prefill, decode };
}

function check(value: string, header: string): void {
  if (!addressPattern.test(value)) throw refused(header, 'must be ip:port or [v6]:port');
}

/** Key of the backend group and name of the pair group of the engine with that address and role. */
function groupOf(policy: RoutingPolicy, address: string, role: PairRole): string | null {
  for (const { group } of policy.backends) {
    const grouping = topologyFor(policy, group)?.grouping;
    if (grouping === undefined) continue;
    const found = group.endpoints.find(
      (endpoint: Endpoint) => endpoint.address === address && grouping.roleOf(endpoint) === role,
    );
    if (found !== undefined) return `${group.key} ${grouping.groupOf(found)}`;
  }
  return null;
}

function refused(header: string, message: string): RoutingError {
  return new RoutingError('invalid_value', `the header ${header} ${message}`, { source: 'client', param: header });
}
