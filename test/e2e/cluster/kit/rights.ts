import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import type { AuditedRequest } from './audit.ts';

const config = join(import.meta.dirname, '../../../../config');
const router = ['rbac/role.yaml', 'rbac/replicas_role.yaml'];

interface Role {
  rules?: { resources: string[]; verbs: string[] }[];
}

/** Every right that the roles in files of config/ grant, as `list pods`; those of config/rbac unless given. */
export function grantedRights(files: readonly string[] = router): string[] {
  const roles = files.flatMap((file) => loadAll(readFileSync(join(config, file), 'utf8')) as Role[]);
  const rules = roles.flatMap((role) => role.rules ?? []);
  const rights = rules.flatMap(({ resources, verbs }) =>
    resources.flatMap((resource) => verbs.map((verb) => `${verb} ${resource}`)),
  );
  return [...new Set(rights)].sort();
}

/** Rights that these requests of the router made no use of, and those that it would have needed and has not. */
export function comparedRights(
  requests: readonly AuditedRequest[],
  granted: readonly string[] = grantedRights(),
): { unused: string[]; missing: string[] } {
  const kind = ({ verb, resource }: AuditedRequest): string => `${verb} ${resource}`;
  const used = new Set(requests.filter(({ code }) => code !== 403).map(kind));
  const missing = new Set(requests.filter(({ code }) => code === 403).map(kind));
  return { unused: granted.filter((right) => !used.has(right)), missing: [...missing].sort() };
}
