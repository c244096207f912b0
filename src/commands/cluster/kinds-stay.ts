import { pluralOf } from '../../api/kinds.ts';
import { apiVersion } from '../../api/resource.ts';
import { isObject } from '../../api/schema-node.ts';
import type { KubeClient } from '../../controller/kube/contract.ts';
import type { ResourceKind } from '../../controller/watched.ts';

/** Milliseconds until the question counts as unanswered. */
const patience = 5_000;

/**
 * Whether the API server has our kinds and means to keep them. A CRD that ends is first discovered without the verb
 * `create`, then loses its objects, then is discovered no more (kube-apiserver, `customresource_discovery_controller`).
 * True where we may not ask, which everybody may unless the role `system:discovery` was taken away: then the watches
 * alone tell. Rejects where there is no answer.
 */
export async function kindsStay(client: KubeClient, kinds: readonly ResourceKind[]): Promise<boolean> {
  const path = `/apis/${apiVersion}`;
  const { status, body } = await client.send({ method: 'GET', path, timeout: patience });
  if (status === 404) return false;
  if (status === 401 || status === 403) return true;
  if (status !== 200 || !isObject(body) || !Array.isArray(body.resources))
    throw new Error(`the API server answered ${status} for ${path}`);
  const creatable = new Set(body.resources.filter(isCreatable).map(({ name }) => name));
  return kinds.every((kind) => creatable.has(pluralOf(kind)));
}

function isCreatable(resource: unknown): resource is { readonly name: string } {
  if (!isObject(resource) || typeof resource.name !== 'string') return false;
  return Array.isArray(resource.verbs) && resource.verbs.includes('create');
}
