import { Tier } from '../kv-events.ts';
import type { BlockNodes } from './block-nodes.ts';
import type { LaneSets } from './lane-sets.ts';
import type { Lanes } from './lanes.ts';
import type { Placements } from './placements.ts';
import type { TokenKeys } from './token-keys.ts';

const allTiers = [0, 1, 2] as const;

/** What lanes hold by their engines' events: keeps nodes, sets of lanes and placements in step. */
export class Holdings {
  /** Removals of blocks that are not known here. */
  removedUnknown = 0;
  private readonly nodes: BlockNodes;
  private readonly sets: LaneSets;
  private readonly lanes: Lanes;
  private readonly placements: Placements;
  /** The node stored last: the next one often lies beside it. */
  private last = 0;

  constructor(nodes: BlockNodes, sets: LaneSets, lanes: Lanes, placements: Placements) {
    this.nodes = nodes;
    this.sets = sets;
    this.lanes = lanes;
    this.placements = placements;
  }

  /** The lane's entry that means the block of the chain's key by hash `i` of the list; 0 when a bound is reached. */
  entryOf(lane: number, hashes: Uint32Array, i: number, { low, high }: TokenKeys): number {
    const { placements, nodes } = this;
    const hashLow = hashes[2 * i] | 0;
    const hashHigh = hashes[2 * i + 1] | 0;
    const known = placements.find(lane, hashLow, hashHigh);
    if (known !== 0) {
      this.last = placements.nodeOf(known);
      if (nodes.hasKey(this.last, low, high)) return known;
      // An engine that gives a hash to another block no longer means the old one.
      this.drop(known);
    }
    if (placements.full) return 0;
    const node = nodes.findOrAdd(low, high, this.last);
    if (node === 0) return 0;
    this.last = node;
    nodes.refer(node);
    this.lanes.use(lane);
    return placements.add(lane, hashLow, hashHigh, node);
  }

  /** The block lies on the tier, or, `computed` anew, does so once more; false when a bound is reached. */
  addTier(entry: number, tier: Tier, computed: boolean): boolean {
    const { placements } = this;
    if ((placements.tiersOf(entry) & (1 << tier)) !== 0) {
      if (computed && tier === Tier.gpu) placements.addCopy(entry);
      return true;
    }
    if (placements.full) return false;
    placements.addTier(entry, tier);
    this.sets.add(placements.nodeOf(entry), placements.laneOf(entry), tier);
    return true;
  }

  /** The block that the lane calls by the hash has gone from the tier. */
  remove(lane: number, hashLow: number, hashHigh: number, tier: Tier): void {
    const { placements } = this;
    const entry = lane < 0 ? 0 : placements.find(lane, hashLow | 0, hashHigh | 0);
    if (entry !== 0 && tier === Tier.gpu && placements.deleteCopy(entry)) return;
    if (entry === 0 || !this.dropTier(entry, tier)) this.removedUnknown += 1;
    else if (placements.tiersOf(entry) === 0) this.forget(entry);
  }

  /** Frees up to `budget` entries of lanes that their holders have left; whether more are to be freed. */
  sweep(budget: number): boolean {
    const { placements } = this;
    const { left } = this.lanes;
    let rest = budget;
    // From the end, as a lane that is done leaves the list.
    for (let i = left.length - 1; i >= 0; i--) {
      const lane = left[i];
      for (let entry = placements.newestOf(lane); entry !== 0; entry = placements.newestOf(lane)) {
        if (rest === 0) return true;
        rest -= 1;
        this.drop(entry);
      }
    }
    return false;
  }

  /** Whether the entry had the tier. Where two hashes mean one block, the removal of either takes it from the tier. */
  private dropTier(entry: number, tier: Tier): boolean {
    const { placements } = this;
    if (!placements.deleteTier(entry, tier)) return false;
    this.sets.delete(placements.nodeOf(entry), placements.laneOf(entry), tier);
    return true;
  }

  private drop(entry: number): void {
    for (const tier of allTiers) this.dropTier(entry, tier);
    this.forget(entry);
  }

  /** Takes out an entry that has no tier left. */
  private forget(entry: number): void {
    const { placements } = this;
    const node = placements.nodeOf(entry);
    const lane = placements.laneOf(entry);
    placements.remove(entry);
    this.nodes.release(node);
    this.lanes.unuse(lane);
  }
}
