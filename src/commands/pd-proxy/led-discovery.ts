import type { BackendGroup } from '../../api/backend-group.ts';
import { unmet } from '../../controller/conditions.ts';
import type { Discovery, Found } from '../../controller/found.ts';

/**
 * Of what discovery finds for a BackendGroup the engines of one group of pairs, or all engines where no id is given. Labels
 * of endpoints tell: a Service or an InferencePool may hold several groups. Leaders are left out: a leader has no business
 * with itself or with others of its kind.
 */
export class LedDiscovery implements Discovery {
  private readonly all: Discovery;
  private readonly pdGroup: string;
  /** Of the one group that is led: what is compiled is kept by the identity of what was found. */
  private last: { readonly group: BackendGroup; readonly of: Found; readonly found: Found } | null = null;

  constructor(all: Discovery, pdGroup: string) {
    this.all = all;
    this.pdGroup = pdGroup;
  }

  find(group: BackendGroup): Found {
    const of = this.all.find(group);
    if (this.last?.group !== group || this.last.of !== of) this.last = { group, of, found: this.ledOf(group, of) };
    return this.last.found;
  }

  private ledOf({ spec }: BackendGroup, { seeds, condition }: Found): Found {
    if (spec.topology.type !== 'PrefillDecode') return { seeds, condition };
    const { groupLabel, roleLabel, leaderValue } = spec.topology.prefillDecode;
    const ours = (labels: Readonly<Record<string, string>>): boolean =>
      labels[roleLabel] !== leaderValue && (this.pdGroup === '' || labels[groupLabel] === this.pdGroup);
    const led = seeds.filter(({ labels }) => ours(labels));
    if (led.length > 0 || condition.status === 'False') return { seeds: led, condition };
    const which = this.pdGroup === '' ? 'engines' : `engines with the label ${groupLabel}=${this.pdGroup}`;
    return { seeds: led, condition: unmet('Discovered', 'NoMatch', `none of ${seeds.length} endpoints are ${which}`) };
  }
}
