import { bits, next, stride, where } from '../blocks/lane-sets.ts';
import type { Lanes } from '../blocks/lanes.ts';
import type { BlockTable } from './block-table.ts';

/**
 * How much of a prompt each holder holds, all holders at once. Who holds a block holds all before it, so the sets of
 * holders along a prompt only shrink, and where they shrink is found by galloping and halving: for a few different
 * lengths a few probes each, where going down the prompt would be one for each block.
 */
export class PrefixLengths {
  /** Blocks by holder; written for those that hold the first one. */
  readonly of: Uint32Array;
  private readonly table: BlockTable;
  private readonly cells: Int32Array;
  private readonly lanes: Lanes;
  /** Lanes by group that hold all blocks so far; 0 in groups that are not active. */
  private readonly alive: Int32Array;
  private readonly active: Int32Array;
  private actives = 0;
  /** Lanes by group that hold the block at hand; all 0 between two blocks. */
  private readonly having: Int32Array;

  constructor(table: BlockTable, cells: Int32Array, lanes: Lanes) {
    const groups = lanes.live.length;
    this.table = table;
    this.cells = cells;
    this.lanes = lanes;
    this.of = new Uint32Array(lanes.holders);
    this.alive = new Int32Array(groups);
    this.active = new Int32Array(groups);
    this.having = new Int32Array(groups);
  }

  run(keys: Uint32Array, count: number): void {
    if (count === 0) return;
    this.begin(this.blockAt(keys, 1));
    let length = 1;
    while (this.actives > 0 && length < count) {
      length = this.farthest(keys, length, count);
      if (length === count) break;
      this.keep(this.blockAt(keys, length + 1), length);
      length += 1;
    }
    while (this.actives > 0) {
      const group = this.active[--this.actives];
      this.write(group, this.alive[group], length);
      this.alive[group] = 0;
    }
  }

  /** The block that ends the prefix of so many blocks, or 0 where nobody holds it. */
  private blockAt(keys: Uint32Array, length: number): number {
    return this.table.find(keys[2 * length - 2] | 0, keys[2 * length - 1] | 0);
  }

  /** Lets those live who hold the block and are no lanes that are being swept. */
  private begin(block: number): void {
    const { alive, active, cells } = this;
    const { live } = this.lanes;
    this.actives = 0;
    if (block === 0) return;
    for (let cell = block; cell !== 0; cell = cells[cell * stride + next]) {
      const group = cells[cell * stride + where] >>> 2;
      const lanes = cells[cell * stride + bits] & live[group];
      if (lanes === 0) continue;
      alive[group] = lanes;
      active[this.actives++] = group;
    }
  }

  /** The longest prefix that all that are alive hold; they hold one of `held` blocks. */
  private farthest(keys: Uint32Array, held: number, count: number): number {
    let least = held;
    let most = count;
    for (let step = 1; least < most; step *= 2) {
      const reach = Math.min(least + step, most);
      if (!this.allHold(this.blockAt(keys, reach))) {
        most = reach - 1;
        break;
      }
      least = reach;
    }
    while (least < most) {
      const middle = (least + most + 1) >>> 1;
      if (this.allHold(this.blockAt(keys, middle))) least = middle;
      else most = middle - 1;
    }
    return least;
  }

  private allHold(block: number): boolean {
    const { alive, cells } = this;
    if (block === 0) return false;
    let covered = 0;
    for (let cell = block; cell !== 0; cell = cells[cell * stride + next]) {
      const lanes = alive[cells[cell * stride + where] >>> 2];
      if ((lanes & ~cells[cell * stride + bits]) !== 0) return false;
      if (lanes !== 0) covered += 1;
    }
    return covered === this.actives;
  }

  /** Lets only those live on who hold the block, which follows the first `length`. */
  private keep(block: number, length: number): void {
    const { alive, active, having } = this;
    this.gather(block);
    for (let i = this.actives - 1; i >= 0; i--) {
      const group = active[i];
      const after = alive[group] & having[group];
      having[group] = 0;
      this.write(group, alive[group] & ~after, length);
      alive[group] = after;
      if (after === 0) active[i] = active[--this.actives];
    }
  }

  private gather(block: number): void {
    const { alive, cells, having } = this;
    for (let cell = block; cell !== 0; cell = cells[cell * stride + next]) {
      const group = cells[cell * stride + where] >>> 2;
      if (alive[group] !== 0) having[group] = cells[cell * stride + bits];
    }
  }

  private write(group: number, lanes: number, length: number): void {
    const { holderOf } = this.lanes;
    for (let rest = lanes; rest !== 0; rest &= rest - 1) {
      this.of[holderOf[group * 32 + 31 - Math.clz32(rest & -rest)]] = length;
    }
  }
}
