import type { BackendGroup } from '../../api/backend-group.ts';
import { decodeResource } from '../../api/decode.ts';
import { apiVersion } from '../../api/resource.ts';
import type { Strategy } from '../../api/strategy.ts';
import { keyOf, type AcceptedPolicy } from '../../controller/compile.ts';
import type { ResourceSnapshot } from '../../controller/resource-snapshot.ts';

/** Which engines a leader leads. */
export interface Led {
  /** Name of the BackendGroup; empty for the only one with pairs. */
  readonly backendGroup: string;
  /** Id of the one group of pairs; empty for all that the BackendGroup has. See LedDiscovery. */
  readonly pdGroup: string;
}

/** What is to be in force for a leader, or why nothing is. */
export type LeaderPlan =
  | { readonly snapshot: ResourceSnapshot; readonly problem: null }
  | { readonly snapshot: null; readonly problem: string };

/** Pairs by what is under way on each engine: whoever leads one group sees all of its load. */
const balancing: Strategy = {
  type: 'Profile',
  profile: {
    filters: [{ type: 'filter-by-pd-label' }],
    scorers: [{ type: 'scorer-pd-active-tokens' }],
    picker: { type: 'picker-pd-kv-cache-aware' },
  },
};

type Paired = BackendGroup & { readonly spec: { readonly topology: { readonly type: 'PrefillDecode' } } };

/** Leaves of all resources the group that is led, with the hand-over made here, and one policy that takes every model. */
export class LeaderPlanner {
  private readonly led: Led;
  /** By the group it was made of: what is compiled is kept by the identity of its resources. */
  private last: { readonly of: BackendGroup; readonly group: BackendGroup; readonly policy: AcceptedPolicy } | null =
    null;

  constructor(led: Led) {
    this.led = led;
  }

  plan(all: ResourceSnapshot): LeaderPlan {
    const { backendGroup } = this.led;
    const paired = all.groups.filter(isPaired);
    const named = backendGroup === '' ? paired : paired.filter(({ metadata }) => metadata.name === backendGroup);
    if (named.length === 1) return { snapshot: this.snapshot(all, named[0]), problem: null };
    return { snapshot: null, problem: problemOf(backendGroup, named) };
  }

  private snapshot(all: ResourceSnapshot, of: Paired): ResourceSnapshot {
    if (this.last?.of !== of) {
      const group = ownGroup(of);
      this.last = { of, group, policy: policyOf(group) };
    }
    return { ...all, groups: [this.last.group], policies: [this.last.policy], broken: [] };
  }
}

/** The BackendGroup of Pods that have labels, for a namespace where nobody has written one. */
export function podsGroup(selector: Readonly<Record<string, string>>, port: number, namespace: string): BackendGroup {
  const decoded = decodeResource({
    apiVersion,
    kind: 'BackendGroup',
    metadata: { name: 'pd-proxy', namespace },
    spec: {
      discovery: { type: 'Pods', pods: { selector: { matchLabels: selector }, targetPorts: [{ number: port }] } },
      topology: { type: 'PrefillDecode' },
    },
  });
  if (decoded.ok && decoded.resource.kind === 'BackendGroup') return decoded.resource;
  throw new TypeError(
    decoded.ok ? 'no group' : decoded.faults.map(({ message, cure }) => `${message}; ${cure}`).join(),
  );
}

function isPaired(group: BackendGroup): group is Paired {
  return group.spec.topology.type === 'PrefillDecode';
}

function problemOf(name: string, found: readonly BackendGroup[]): string {
  if (name !== '') return `no BackendGroup with topology PrefillDecode is called ${name}`;
  if (found.length === 0) return 'there is no BackendGroup with topology PrefillDecode';
  return `there are ${found.length} BackendGroups with topology PrefillDecode; name one by --backend-group`;
}

/** The group as its leader sees it: handed over here. */
function ownGroup(group: Paired): BackendGroup {
  const { spec } = group;
  const prefillDecode = { ...spec.topology.prefillDecode, handover: 'Router' as const };
  return { ...group, spec: { ...spec, topology: { ...spec.topology, prefillDecode } } };
}

function policyOf({ metadata }: BackendGroup): AcceptedPolicy {
  const decoded = decodeResource({
    apiVersion,
    kind: 'RoutingPolicy',
    metadata: { name: metadata.name, namespace: metadata.namespace ?? 'default' },
    spec: { match: { models: ['*'] }, backendRefs: [{ name: metadata.name }] },
  });
  if (!decoded.ok || decoded.resource.kind !== 'RoutingPolicy')
    throw new Error(`the group ${keyOf(metadata)} became no policy; please report it`);
  const { resource } = decoded;
  return { resource: { ...resource, spec: { ...resource.spec, strategy: balancing } }, created: 0 };
}
