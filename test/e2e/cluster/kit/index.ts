import { inject } from 'vitest';
import { Cluster } from './cluster.ts';
import type {} from './global-setup.ts';

export { countByKind, type AuditedRequest, type AuditMark, type RequestFilter } from './audit.ts';
export { Cluster } from './cluster.ts';
export { comparedRights, grantedRights } from './rights.ts';
export type { Answer } from './command.ts';
export type { ApiAnswer } from './proxy.ts';

/** The run's cluster, ready to use; close it at the end of the suite. A benchmark uses startControlPlane instead. */
export function startCluster(): Cluster {
  return new Cluster(inject('cluster'));
}
