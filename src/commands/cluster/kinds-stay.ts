import { pluralOf } from '../../api/kinds.ts';
import { apiVersion } from '../../api/resource.ts';
import { apiResources } from '../../controller/kube/api-resources.ts';
import type { KubeClient } from '../../controller/kube/contract.ts';
import type { ResourceKind } from '../../controller/watched.ts';

/**
 * Whether the API server has our kinds and means to keep them. A CRD that ends is first discovered without the verb
 * `create`, then loses its objects, then is discovered no more (kube-apiserver, `customresource_discovery_controller`).
 * True where we may not ask: then the watches alone tell. Rejects where there is no answer.
 */
export async function kindsStay(client: KubeClient, kinds: readonly ResourceKind[]): Promise<boolean> {
  const served = await apiResources(client, apiVersion);
  if (served === 'absent') return false;
  if (served === 'forbidden') return true;
  const creatable = new Set(served.filter(({ verbs }) => verbs.includes('create')).map(({ name }) => name));
  return kinds.every((kind) => creatable.has(pluralOf(kind)));
}
