import type { BackendRef } from '../api/backend-refs.ts';
import type { BackendGroup } from '../router/policy.ts';
import type { Mismatch } from './pairs.ts';
import { met, unmet, type Condition } from './conditions.ts';

/** What a reference of a policy leads to. */
export interface Referent {
  readonly group: BackendGroup;
  /** What became of its discovery. */
  readonly discovered: Condition;
  /** Set where no version of the group was ever valid: nothing can be sent there, and its models are not free for others. */
  readonly neverValid?: true;
}

interface Fault {
  readonly reason: string;
  readonly message: string;
}

/**
 * The condition ResolvedRefs of a policy; `refs` is what its `backendRefs` lead to, in their order, `mismatches` why it
 * cannot place requests there.
 */
export function refsCondition(
  backendRefs: readonly Pick<BackendRef, 'kind' | 'name'>[],
  refs: readonly (Referent | undefined)[],
  mismatches: readonly Mismatch[],
): Condition {
  const missing = backendRefs.filter(({ kind }, i) => kind === 'BackendGroup' && refs[i] === undefined);
  const faults = [
    ...(missing.length === 0 ? [] : [groupsMissing(missing.map(({ name }) => name))]),
    ...backendRefs.flatMap(({ kind, name }, i) => (kind === 'InferencePool' ? poolFaults(name, refs[i]) : [])),
    ...mismatches.map(({ reason = 'UnsupportedInMode', message }) => ({ reason, message })),
  ];
  if (faults.length === 0) return met('ResolvedRefs', 'every backend exists');
  const message = faults.map((fault) => fault.message).join('; ');
  return unmet('ResolvedRefs', faults[0].reason, `${message}; their share goes to the other backends`);
}

function groupsMissing(names: readonly string[]): Fault {
  return {
    reason: 'BackendGroupNotFound',
    message: `no BackendGroup is called ${names.join(', ')} in this namespace`,
  };
}

/** A pool has no status of ours, so its policies tell why nothing is found of it. */
function poolFaults(name: string, referent: Referent | undefined): Fault[] {
  if (referent === undefined) {
    const message = `the InferencePool ${name} cannot be looked for without a cluster; name a BackendGroup instead`;
    return [{ reason: 'UnsupportedInMode', message }];
  }
  const { status, reason, message } = referent.discovered;
  return status === 'False' ? [{ reason, message: `InferencePool ${name}: ${message}` }] : [];
}
