import { Candidates } from './candidates.ts';
import type { PairGroup } from './pair-grouping.ts';

/**
 * The groups that a decision chooses a pair from, and their members: scratch memory, filled anew for each decision.
 * Members of group `g` are the places `starts[g]` to `starts[g + 1]` (exclusive) of their role's candidates.
 */
export class Pairs {
  /** Number of groups. */
  length = 0;
  groups: PairGroup[] = [];
  readonly prefills = new Candidates();
  readonly decodes = new Candidates();
  readonly leaders = new Candidates();
  prefillStarts = new Int32Array(65);
  decodeStarts = new Int32Array(65);
  leaderStarts = new Int32Array(65);
  /** Tensor-parallel size of each prefiller. */
  prefillSizes = new Float64Array(64);
  /** Length of the prompt in tokens. */
  promptTokens = 0;

  /** Whether a group needs a leader to be whole. */
  led = true;

  /** The pick: a place among the groups, the prefillers and the decoders; -1 and -1 before a decoder that does it all. */
  group = -1;
  prefill = -1;
  decode = -1;
  /** Among how many equal pairs chance has picked. */
  equals = 1;

  clear(): void {
    this.length = 0;
    this.prefills.clear();
    this.decodes.clear();
    this.leaders.clear();
  }

  /** Adds a prefiller to the group that `close` will add next. */
  pushPrefill(group: PairGroup, i: number): void {
    const at = this.prefills.length;
    this.prefills.push(group.prefills[i]);
    if (at === this.prefillSizes.length) {
      const sizes = new Float64Array(at * 2);
      sizes.set(this.prefillSizes);
      this.prefillSizes = sizes;
    }
    this.prefillSizes[at] = group.prefillSizes[i];
  }

  /** Ends a group whose members have been pushed; it counts only if it has a member of each role. */
  close(group: PairGroup): void {
    const { length, prefills, decodes, leaders, prefillStarts, decodeStarts, leaderStarts } = this;
    const whole =
      prefills.length > prefillStarts[length] &&
      decodes.length > decodeStarts[length] &&
      (!this.led || leaders.length > leaderStarts[length]);
    if (!whole) {
      prefills.length = prefillStarts[length];
      decodes.length = decodeStarts[length];
      leaders.length = leaderStarts[length];
      return;
    }
    if (length + 2 > prefillStarts.length) this.grow();
    this.groups[length] = group;
    this.length = length + 1;
    this.prefillStarts[length + 1] = prefills.length;
    this.decodeStarts[length + 1] = decodes.length;
    this.leaderStarts[length + 1] = leaders.length;
  }

  private grow(): void {
    this.prefillStarts = doubled(this.prefillStarts);
    this.decodeStarts = doubled(this.decodeStarts);
    this.leaderStarts = doubled(this.leaderStarts);
  }
}

function doubled(array: Int32Array): Int32Array<ArrayBuffer> {
  const made = new Int32Array(array.length * 2);
  made.set(array);
  return made;
}

/** What the members of one role cost. */
export class RoleCosts {
  costs = new Float64Array(64);
  /** Decide among members of one group that cost the same: the least charged is the best. */
  charges = new Float64Array(64);

  reset(length: number): void {
    this.costs = zeroed(this.costs, length);
    this.charges = zeroed(this.charges, length);
  }

  add(values: RoleCosts, weight: number, length: number): void {
    addTo(this.costs, values.costs, weight, length);
    addTo(this.charges, values.charges, weight, length);
  }

  /** The first of the best of a range; `to` is exclusive. */
  best(from: number, to: number): number {
    let best = from;
    for (let i = from + 1; i < to; i++) {
      if (this.compare(i, best) < 0) best = i;
    }
    return best;
  }

  /** Below 0 where `a` is the better of two, 0 where they are equal. */
  compare(a: number, b: number): number {
    const { costs, charges } = this;
    return costs[a] === costs[b] ? charges[a] - charges[b] : costs[a] - costs[b];
  }

  /** How many of a range are as good as its first. */
  equals(first: number, to: number): number {
    let count = 0;
    for (let i = first; i < to; i++) if (this.compare(i, first) === 0) count += 1;
    return count;
  }

  /** One of those at random. */
  draw(first: number, to: number, random: () => number): number {
    let drawn = first;
    let equals = 1;
    for (let i = first + 1; i < to; i++) {
      if (this.compare(i, first) !== 0) continue;
      // Reservoir of one: the k-th equal replaces the pick with probability 1/k, so all are equally likely.
      equals += 1;
      if (random() * equals < 1) drawn = i;
    }
    return drawn;
  }
}

/** What pair scorers write; the lowest wins. A pair costs its group's, its prefiller's and its decoder's cost. */
export class PairCosts {
  groups = new Float64Array(64);
  readonly prefills = new RoleCosts();
  readonly decodes = new RoleCosts();

  /** Room for the pairs, and zeros all over. */
  reset({ length, prefills, decodes }: Pairs): void {
    this.groups = zeroed(this.groups, length);
    this.prefills.reset(prefills.length);
    this.decodes.reset(decodes.length);
  }

  /** Adds what one scorer has written, so many times. */
  add(values: PairCosts, weight: number, { length, prefills, decodes }: Pairs): void {
    addTo(this.groups, values.groups, weight, length);
    this.prefills.add(values.prefills, weight, prefills.length);
    this.decodes.add(values.decodes, weight, decodes.length);
  }
}

function zeroed(array: Float64Array<ArrayBuffer>, length: number): Float64Array<ArrayBuffer> {
  if (array.length < length) return new Float64Array(length * 2);
  return array.fill(0, 0, length);
}

function addTo(totals: Float64Array, values: Float64Array, weight: number, length: number): void {
  for (let i = 0; i < length; i++) totals[i] += weight * values[i];
}
