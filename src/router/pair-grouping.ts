import type { Endpoint } from './endpoint.ts';

/** What an engine, or the leader before it, does in a disaggregated group. */
export type PairRole = 'prefill' | 'decode' | 'leader';

/** Which labels tell role and group, and which values mean what. */
export interface PairLabels {
  readonly role: string;
  readonly group: string;
  readonly prefill: string;
  readonly decode: string;
  readonly leader: string;
}

/** An xPyD group: KV blocks travel between its own engines only. */
export interface PairGroup {
  readonly name: string;
  readonly prefills: readonly Endpoint[];
  readonly decodes: readonly Endpoint[];
  readonly leaders: readonly Endpoint[];
  /** Tensor-parallel sizes of the prefillers, in their order. */
  readonly prefillSizes: Float64Array;
}

const tpSizeLabel = 'openfuyao.com/tpSize';

/** Arranges endpoints into groups by their labels. */
export class PairGrouping {
  private readonly labels: PairLabels;
  /** A table's list of endpoints stays the same object until the endpoints change. */
  private readonly known = new WeakMap<readonly Endpoint[], readonly PairGroup[]>();

  constructor(labels: PairLabels) {
    this.labels = labels;
  }

  /** Null where the label is missing or says something else. */
  roleOf(endpoint: Endpoint): PairRole | null {
    const { labels } = this;
    const value = endpoint.labels[labels.role];
    if (value === labels.prefill) return 'prefill';
    if (value === labels.decode) return 'decode';
    return value === labels.leader ? 'leader' : null;
  }

  /** Name of the endpoint's group; null where the label is missing or empty. */
  groupOf(endpoint: Endpoint): string | null {
    const value = endpoint.labels[this.labels.group];
    return typeof value === 'string' && value !== '' ? value : null;
  }

  /** Every group that has a member, ready or not. */
  groupsOf(endpoints: readonly Endpoint[]): readonly PairGroup[] {
    let groups = this.known.get(endpoints);
    if (groups === undefined) {
      groups = this.arrange(endpoints);
      this.known.set(endpoints, groups);
    }
    return groups;
  }

  /** Why an endpoint has no place in any group, in words; null where it has one. */
  misfit(endpoint: Endpoint): string | null {
    const { labels } = this;
    if (this.roleOf(endpoint) === null) {
      const value = endpoint.labels[labels.role];
      const found = typeof value === 'string' ? `${labels.role} is ${value}` : `no label ${labels.role}`;
      return `${found}, not ${labels.prefill}, ${labels.decode} or ${labels.leader}`;
    }
    return this.groupOf(endpoint) === null ? `no label ${labels.group}` : null;
  }

  private arrange(endpoints: readonly Endpoint[]): readonly PairGroup[] {
    const members = new Map<string, Record<PairRole, Endpoint[]>>();
    for (const endpoint of endpoints) {
      const role = this.roleOf(endpoint);
      const name = this.groupOf(endpoint);
      if (role === null || name === null) continue;
      let group = members.get(name);
      if (group === undefined) members.set(name, (group = { prefill: [], decode: [], leader: [] }));
      group[role].push(endpoint);
    }
    return [...members].map(([name, { prefill, decode, leader }]) => ({
      name,
      prefills: prefill,
      decodes: decode,
      leaders: leader,
      prefillSizes: Float64Array.from(prefill, tpSizeOf),
    }));
  }
}

/** Tensor-parallel size by the endpoint's label; 1 where it is missing or no positive integer. */
export function tpSizeOf({ labels }: Endpoint): number {
  const size = Number(labels[tpSizeLabel]);
  return Number.isInteger(size) && size > 0 ? size : 1;
}
