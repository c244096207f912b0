import type { AuditMark, AuditedRequest, Cluster } from '../kit/index.ts';

/** Writes of status of our kinds by the router of a namespace, as the API server counts them, in their order. */
export function statusWrites(cluster: Cluster, since: AuditMark, namespace: string): AuditedRequest[] {
  const user = `system:serviceaccount:${namespace}:hermes-router`;
  const ours = new Set(['routingpolicies/status', 'backendgroups/status']);
  return cluster
    .requests(since, { user })
    .filter(({ resource }) => ours.has(resource))
    .sort((a, b) => a.at - b.at);
}

/** Milliseconds between two writes of each object: its shortest pause, by `resource name`; Infinity where there was one. */
export function shortestPauses(writes: readonly AuditedRequest[]): Map<string, number> {
  const last = new Map<string, number>();
  const pauses = new Map<string, number>();
  for (const { resource, name, at } of writes) {
    const key = `${resource} ${name}`;
    const before = last.get(key);
    const pause = before === undefined ? Infinity : at - before;
    pauses.set(key, Math.min(pauses.get(key) ?? Infinity, pause));
    last.set(key, at);
  }
  return pauses;
}

/** The most writes in any stretch of so many milliseconds. */
export function mostWithin(writes: readonly AuditedRequest[], milliseconds: number): number {
  let first = 0;
  let most = 0;
  writes.forEach(({ at }, i) => {
    while (writes[first].at <= at - milliseconds) first++;
    most = Math.max(most, i - first + 1);
  });
  return most;
}

/** A policy for requests of one tenant, told by a header. */
export const tenantPolicy = (tenant: string): string => `
apiVersion: hermes-router.io/v1alpha1
kind: RoutingPolicy
metadata: {name: ${tenant}}
spec: {backendRefs: [{name: g}], match: {models: [m], headers: [{type: Exact, name: x-tenant, value: ${tenant}}]}}
`;

/** Names of policies of our namespace that are programmed. */
export async function programmedPolicies(cluster: Cluster, namespace: string): Promise<string[]> {
  const path = `/apis/hermes-router.io/v1alpha1/namespaces/${namespace}/routingpolicies`;
  const { body } = await cluster.api('GET', path);
  const { items } = body as {
    items: { metadata: { name: string }; status?: { conditions?: { type: string; status: string }[] } }[];
  };
  return items
    .filter(({ status }) => status?.conditions?.some(({ type, status: is }) => type === 'Programmed' && is === 'True'))
    .map(({ metadata }) => metadata.name);
}
