import { isObject } from '../../api/schema-node.ts';

/** A service account, as its own token names it. */
export interface KubeAccount {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/**
 * The service account whose token an `Authorization` header carries, by the token's claim `kubernetes.io`; null for another
 * identity. The claim is read and not checked: what it is used for, the API server decides.
 */
export function accountOf(authorization: string | null): KubeAccount | null {
  const claims = payloadOf(/^Bearer [^.\s]+\.([^.\s]+)\.[^.\s]+$/.exec(authorization ?? '')?.[1] ?? '');
  const own = isObject(claims) ? claims['kubernetes.io'] : null;
  if (!isObject(own) || !isObject(own.serviceaccount)) return null;
  const { namespace } = own;
  const { name, uid } = own.serviceaccount;
  if (typeof namespace !== 'string' || typeof name !== 'string' || typeof uid !== 'string') return null;
  return { namespace, name, uid };
}

function payloadOf(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
  } catch {
    // Other tokens than a cluster's own need not be JWTs.
    return null;
  }
}
