import { LaneSets, stride as cellFields } from '../blocks/lane-sets.ts';
import { Lanes } from '../blocks/lanes.ts';
import { BlockTable, bytesPerTableBlock } from './block-table.ts';
import { PrefixLengths } from './prefix-lengths.ts';

/** The only plane of the sets that is used: a block is held or it is not. */
const plane = 0;
const bytesPerCell = cellFields * 4;

/** Bytes that a block takes here, however many of up to 32 neighbouring lanes hold it. */
export const bytesPerHeldBlock = bytesPerTableBlock + bytesPerCell;

/**
 * Which blocks each holder holds, all in one table, so that a prompt is looked up once and not once for each holder.
 * A holder's blocks are prefix-closed: none is held without all before it.
 */
export class HeldBlocks {
  readonly lanes: Lanes;
  /** (block, lane) held. */
  held = 0;
  private readonly table: BlockTable;
  private readonly sets: LaneSets;
  private readonly lengths: PrefixLengths;

  /** `size`: the most (block, lane) to hold. `holders`: the most holders, numbered from 0. */
  constructor(size: number, holders: number) {
    this.lanes = new Lanes(holders);
    this.table = new BlockTable(size);
    this.sets = new LaneSets(size, size);
    this.lengths = new PrefixLengths(this.table, this.sets.cells, this.lanes);
  }

  /** Memory in use; what has been in use once stays committed. */
  get bytes(): number {
    return this.table.used * bytesPerHeldBlock + this.sets.furtherCells * bytesPerCell;
  }

  /** The block of a key given as signed halves, held by anybody, or 0. */
  find(keyLow: number, keyHigh: number): number {
    return this.table.find(keyLow, keyHigh);
  }

  /** The lane holds the block from now on, which it did not. `block` is what `find` found. Returns the block. */
  hold(block: number, keyLow: number, keyHigh: number, lane: number): number {
    const known = block === 0 ? this.table.add(keyLow, keyHigh) : block;
    this.sets.add(known, lane, plane);
    this.lanes.use(lane);
    this.held += 1;
    return known;
  }

  /** The lane, which held it, holds the block no more. */
  release(block: number, lane: number): void {
    this.sets.delete(block, lane, plane);
    if (this.sets.isEmpty(block)) this.table.remove(block);
    this.lanes.unuse(lane);
    this.held -= 1;
  }

  /**
   * How many of the first `count` keys each holder holds, by holder. Written are those that hold any: who reads the
   * others must have set them to 0 before.
   */
  match(keys: Uint32Array, count: number): Uint32Array {
    this.lengths.run(keys, count);
    return this.lengths.of;
  }

  /** Where `match` writes. */
  get matched(): Uint32Array {
    return this.lengths.of;
  }
}
