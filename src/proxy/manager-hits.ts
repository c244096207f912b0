import type { RoutingPolicy } from '../router/policy.ts';
import type { Payload } from './payload.ts';

/**
 * Asks the external KV managers of a policy's groups what their engines have cached: the one await before a
 * decision. Null where no group has one.
 */
export function askManagers(
  policy: RoutingPolicy,
  model: string,
  payload: Payload,
): Promise<ReadonlyMap<string, number>> | null {
  const asked: Promise<ReadonlyMap<string, number> | null>[] = [];
  let body: Readonly<Record<string, unknown>> | null = null;
  for (const { group, rewriteModel } of policy.backends) {
    if (group.managerLookup === undefined) continue;
    // The parsed body holds bytes where it was read as latin1; a manager needs the text itself.
    body ??= payload.utf8 ? payload.body : textOf(payload);
    const candidates = group.endpoints.map((endpoint) => endpoint.address);
    asked.push(group.managerLookup({ model: rewriteModel ?? model, body, candidates }));
  }
  if (asked.length === 0) return null;
  return Promise.all(asked).then((answers) => {
    const merged = new Map<string, number>();
    for (const answer of answers) for (const [address, tokens] of answer ?? []) merged.set(address, tokens);
    return merged;
  });
}

function textOf(payload: Payload): Readonly<Record<string, unknown>> {
  const parsed: unknown = JSON.parse(payload.bytes.toString('utf8'));
  return typeof parsed === 'object' && parsed !== null ? { ...parsed } : {};
}
