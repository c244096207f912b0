import { isObject } from '../../api/schema-node.ts';
import type { KubeClient } from './contract.ts';

/** Milliseconds until the question counts as unanswered. */
const patience = 5_000;

/** A kind that an API server serves, as far as we read of it. */
export interface ApiResource {
  /** Plural, as it stands in paths. */
  readonly name: string;
  readonly verbs: readonly unknown[];
}

/**
 * What an API server serves of a group and version, such as `llm-d.ai/v1alpha2`; `absent` where it has none of it,
 * `forbidden` where we may not ask, which everybody may unless the role `system:discovery` was taken away. Rejects where
 * there is no answer.
 */
export async function apiResources(
  client: KubeClient,
  api: string,
): Promise<readonly ApiResource[] | 'absent' | 'forbidden'> {
  const path = `/apis/${api}`;
  const { status, body } = await client.send({ method: 'GET', path, timeout: patience });
  if (status === 404) return 'absent';
  if (status === 401 || status === 403) return 'forbidden';
  if (status !== 200 || !isObject(body) || !Array.isArray(body.resources))
    throw new Error(`the API server answered ${status} for ${path}`);
  return body.resources.flatMap((resource: unknown): ApiResource[] => {
    if (!isObject(resource) || typeof resource.name !== 'string') return [];
    return [{ name: resource.name, verbs: Array.isArray(resource.verbs) ? resource.verbs : [] }];
  });
}
