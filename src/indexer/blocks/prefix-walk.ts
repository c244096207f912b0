import { Tier } from '../kv-events.ts';
import type { BlockNodes } from './block-nodes.ts';
import { bits, next, stride, where, type LaneSets } from './lane-sets.ts';
import type { Lanes } from './lanes.ts';
import { Tally } from './tally.ts';

/** What each holder has of a prompt, by holder; valid until the next match. */
export interface PrefixMatch {
  /** Blocks from the prompt's first on, without a gap, on whichever tier. */
  readonly blocks: Uint32Array;
  /** How many of them lie no nearer than in the CPU's memory. */
  readonly cpu: Uint32Array;
  /** How many of them lie on disk only. */
  readonly disk: Uint32Array;
}

/**
 * The match of one prompt against all holders at once: down the prompt's blocks with the set of those who have had
 * every block so far, until none is left.
 */
export class PrefixWalk {
  readonly match: PrefixMatch;
  private readonly nodes: BlockNodes;
  private readonly sets: LaneSets;
  private readonly lanes: Lanes;
  /** Lanes by group that have all blocks so far. */
  private readonly alive: Int32Array;
  /** Groups with a lane alive, and their number. */
  private readonly active: Int32Array;
  private actives = 0;
  /** Lanes by group that have the block at hand: near (GPU, or expected there), in CPU memory, on disk. */
  private readonly near: Int32Array;
  private readonly inCPU: Int32Array;
  private readonly onDisk: Int32Array;
  private readonly cpuBlocks: Tally;
  private readonly diskBlocks: Tally;

  constructor(nodes: BlockNodes, sets: LaneSets, lanes: Lanes) {
    const { holders } = lanes;
    const groups = lanes.live.length;
    this.nodes = nodes;
    this.sets = sets;
    this.lanes = lanes;
    this.match = { blocks: new Uint32Array(holders), cpu: new Uint32Array(holders), disk: new Uint32Array(holders) };
    this.alive = new Int32Array(groups);
    this.active = new Int32Array(groups);
    this.near = new Int32Array(groups);
    this.inCPU = new Int32Array(groups);
    this.onDisk = new Int32Array(groups);
    this.cpuBlocks = new Tally(groups);
    this.diskBlocks = new Tally(groups);
  }

  /** Fills `match` for the first `count` keys. */
  run(keys: Uint32Array, count: number): void {
    const { nodes } = this;
    this.begin();
    let node = 0;
    let block = 0;
    for (; block < count && this.actives > 0; block++) {
      node = nodes.find(keys[2 * block] | 0, keys[2 * block + 1] | 0, node);
      if (node === 0) break;
      if (this.gather(node)) this.settleTiers(block);
      else this.settle(block);
    }
    while (this.actives > 0) {
      const group = this.active[--this.actives];
      this.leave(group, this.alive[group], block);
    }
  }

  private begin(): void {
    const { match, alive, active } = this;
    const { live, groups } = this.lanes;
    match.blocks.fill(0);
    match.cpu.fill(0);
    match.disk.fill(0);
    this.near.fill(0);
    this.inCPU.fill(0);
    this.onDisk.fill(0);
    this.cpuBlocks.clear();
    this.diskBlocks.clear();
    this.actives = 0;
    for (let group = 0; group < groups; group++) {
      if (live[group] === 0) continue;
      alive[group] = live[group];
      active[this.actives++] = group;
    }
  }

  /** Notes who has the block; whether any of them has it elsewhere than near. */
  private gather(node: number): boolean {
    const { near } = this;
    const { cells } = this.sets;
    let far = false;
    for (let cell = node; cell !== 0; cell = cells[cell * stride + next]) {
      const name = cells[cell * stride + where];
      const plane = name & 3;
      if (plane === Tier.cpu || plane === Tier.disk) {
        (plane === Tier.cpu ? this.inCPU : this.onDisk)[name >>> 2] |= cells[cell * stride + bits];
        far = true;
      } else near[name >>> 2] |= cells[cell * stride + bits];
    }
    return far;
  }

  /** Keeps those alive who have the block near. */
  private settle(block: number): void {
    const { alive, active, near } = this;
    for (let i = this.actives - 1; i >= 0; i--) {
      const group = active[i];
      const before = alive[group];
      const after = before & near[group];
      near[group] = 0;
      if (after !== before) this.shrink(i, after, block);
    }
  }

  /** Keeps those alive who have the block on any tier, and counts for whom it is not near. */
  private settleTiers(block: number): void {
    const { alive, active, near, inCPU, onDisk } = this;
    for (let i = this.actives - 1; i >= 0; i--) {
      const group = active[i];
      const before = alive[group];
      const cpu = before & inCPU[group] & ~near[group];
      const disk = before & onDisk[group] & ~near[group] & ~cpu;
      const after = (before & near[group]) | cpu | disk;
      near[group] = 0;
      inCPU[group] = 0;
      onDisk[group] = 0;
      if (after !== before) this.shrink(i, after, block);
      this.cpuBlocks.add(group, cpu);
      this.diskBlocks.add(group, disk);
    }
  }

  /** Lets only `after` live on in the group at place `i` of the active ones. */
  private shrink(i: number, after: number, block: number): void {
    const group = this.active[i];
    this.leave(group, this.alive[group] & ~after, block);
    this.alive[group] = after;
    if (after !== 0) return;
    this.actives -= 1;
    this.active[i] = this.active[this.actives];
  }

  /** Writes down that these lanes have the first `blocks` blocks. */
  private leave(group: number, lanes: number, blocks: number): void {
    if (blocks === 0) return;
    const { match, cpuBlocks, diskBlocks } = this;
    for (let rest = lanes; rest !== 0; rest &= rest - 1) {
      const lane = group * 32 + 31 - Math.clz32(rest & -rest);
      const holder = this.lanes.holderOf[lane];
      match.blocks[holder] = blocks;
      match.cpu[holder] = cpuBlocks.countOf(lane);
      match.disk[holder] = diskBlocks.countOf(lane);
    }
  }
}
