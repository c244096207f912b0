import type { PairGrouping } from '../../router/pair-grouping.ts';
import type { BackendGroup } from '../../router/policy.ts';
import type { EndpointStates } from '../../router/states.ts';
import type { RoutingTable } from '../../router/table.ts';

/** An engine that the leader hands requests to. */
export interface Member {
  readonly pod: string;
  readonly address: string;
  readonly groupId: string;
  readonly role: 'prefill' | 'decode';
  readonly ready: boolean;
}

/** The prefillers and decoders of a table, by group and name; nothing else can be reached through the leader. */
export function membersOf(table: RoutingTable, states: EndpointStates): Member[] {
  return [...table.groups.values()].flatMap(({ topology, endpoints }) =>
    topology === undefined ? [] : paired(topology.grouping, endpoints, states),
  );
}

function paired(grouping: PairGrouping, endpoints: BackendGroup['endpoints'], states: EndpointStates): Member[] {
  return grouping.groupsOf(endpoints).flatMap(({ name: groupId, prefills, decodes }) => {
    const of = (role: Member['role'], list: typeof prefills): Member[] =>
      list.map(({ name: pod, address, slot }) => ({ pod, address, groupId, role, ready: states.isReady(slot) }));
    return [...of('prefill', prefills), ...of('decode', decodes)];
  });
}

interface Count {
  readonly ready: number;
  readonly total: number;
}

/** What `/health` says. */
export interface Health extends Count {
  /** Every prefiller and decoder is ready, and there is one of each. */
  readonly whole: boolean;
  readonly prefill: Count;
  readonly decode: Count;
}

export function healthOf(members: readonly Member[]): Health {
  const count = (role: Member['role']): Count => {
    const list = members.filter((member) => member.role === role);
    return { ready: list.filter(({ ready }) => ready).length, total: list.length };
  };
  const prefill = count('prefill');
  const decode = count('decode');
  const ready = prefill.ready + decode.ready;
  const total = prefill.total + decode.total;
  return { whole: ready === total && prefill.total > 0 && decode.total > 0, ready, total, prefill, decode };
}
