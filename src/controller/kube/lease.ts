import type { KubeObject } from './contract.ts';
import { isKubeObject, microTime } from './kube-object.ts';
import { isObject } from '../../api/schema-node.ts';

/** A `coordination.k8s.io/v1` Lease as far as an election needs it. */
export interface Lease {
  readonly object: KubeObject;
  /** Empty when nobody holds it. */
  readonly holder: string;
  /** Milliseconds without a change after which another may take it; null where it is not written. */
  readonly duration: number | null;
  readonly transitions: number;
  readonly acquireTime: string | null;
  /** Another whenever the holder has done something. */
  readonly record: string;
}

/** Null when it is no Lease. */
export function asLease(value: unknown): Lease | null {
  if (!isKubeObject(value)) return null;
  const spec = isObject(value.spec) ? value.spec : {};
  const { holderIdentity, leaseDurationSeconds, leaseTransitions, acquireTime } = spec;
  return {
    object: value,
    holder: typeof holderIdentity === 'string' ? holderIdentity : '',
    duration: typeof leaseDurationSeconds === 'number' ? leaseDurationSeconds * 1000 : null,
    transitions: typeof leaseTransitions === 'number' ? leaseTransitions : 0,
    acquireTime: typeof acquireTime === 'string' ? acquireTime : null,
    record: JSON.stringify(spec),
  };
}

/** How `identity` writes itself into a Lease that it holds already or takes over; `held` is null for a new one. */
export function heldBy(
  held: Lease | null,
  identity: string,
  duration: number,
  date: Date,
): Readonly<Record<string, unknown>> {
  const now = microTime(date);
  const same = held !== null && held.holder === identity;
  return {
    ...specOf(held),
    holderIdentity: identity,
    leaseDurationSeconds: duration / 1000,
    acquireTime: same ? (held.acquireTime ?? now) : now,
    renewTime: now,
    leaseTransitions: held === null ? 0 : held.transitions + (same ? 0 : 1),
  };
}

/** How a holder gives it back. */
export function givenBack(held: Lease, date: Date): Readonly<Record<string, unknown>> {
  const now = microTime(date);
  return { ...specOf(held), holderIdentity: '', leaseDurationSeconds: 1, acquireTime: now, renewTime: now };
}

function specOf(lease: Lease | null): Readonly<Record<string, unknown>> {
  return lease !== null && isObject(lease.object.spec) ? lease.object.spec : {};
}
