import { Pool, sharedInts } from './pool.ts';

/** Places of a cell's fields. */
export const where = 0;
export const bits = 1;
/** Next cell of the same set; 0 ends it. */
export const next = 2;
export const stride = 3;

/** Lanes in a group: the bits of one cell. */
export const lanesPerGroup = 32;
/** The planes of a set: one for each tier, numbered as Tier is, and one for what is only expected. */
export const expectedPlane = 3;
const planes = 4;

/** What a cell holds the bits of: one plane of one group of lanes. */
export function cellName(lane: number, plane: number): number {
  return (lane >>> 5) * planes + plane;
}

/**
 * Sets of (lane, plane), each a list of cells of 32 lanes; only cells with a bit exist. A block that one engine holds
 * takes one cell and one that a hundred hold takes four, where fixed bitsets would take the room of the largest fleet
 * three times over for every block.
 */
export class LaneSets {
  /** Cell i is the first of set i for sets 1..count; the others follow. */
  readonly cells: Int32Array;
  private readonly pool: Pool;

  /** `count`: number of sets, named 1..count. `further`: cells besides each set's first, at most one for each bit. */
  constructor(count: number, further: number) {
    this.cells = sharedInts((1 + count + further) * stride);
    this.pool = new Pool(this.cells, { stride, link: next, first: count + 1, size: further });
  }

  get bytes(): number {
    return this.cells.byteLength;
  }

  /** Cells in use besides each set's first. */
  get furtherCells(): number {
    return this.pool.used;
  }

  isEmpty(set: number): boolean {
    return this.cells[set * stride + bits] === 0;
  }

  has(set: number, lane: number, plane: number): boolean {
    return (this.wordOf(set, cellName(lane, plane)) & (1 << (lane & 31))) !== 0;
  }

  /** Whether the lane is in any plane of a tier. */
  hasTier(set: number, lane: number): boolean {
    const { cells } = this;
    const mask = 1 << (lane & 31);
    const group = lane >>> 5;
    for (let cell = set; cell !== 0; cell = cells[cell * stride + next]) {
      const at = cell * stride;
      if ((cells[at + bits] & mask) === 0) continue;
      const name = cells[at + where];
      if (name >>> 2 === group && (name & 3) !== expectedPlane) return true;
    }
    return false;
  }

  /** The set must have room: `further` bounds the bits. */
  add(set: number, lane: number, plane: number): void {
    const { cells } = this;
    const name = cellName(lane, plane);
    const mask = 1 << (lane & 31);
    const first = set * stride;
    if (cells[first + bits] === 0) {
      cells[first + where] = name;
      cells[first + bits] = mask;
      return;
    }
    for (let cell = set; cell !== 0; cell = cells[cell * stride + next]) {
      if (cells[cell * stride + where] !== name) continue;
      cells[cell * stride + bits] |= mask;
      return;
    }
    const made = this.pool.take();
    const at = made * stride;
    cells[at + where] = name;
    cells[at + bits] = mask;
    cells[at + next] = cells[first + next];
    cells[first + next] = made;
  }

  delete(set: number, lane: number, plane: number): void {
    const { cells } = this;
    const name = cellName(lane, plane);
    let before = 0;
    let cell = set;
    while (cell !== 0 && cells[cell * stride + where] !== name) {
      before = cell;
      cell = cells[cell * stride + next];
    }
    if (cell === 0) return;
    const left = cells[cell * stride + bits] & ~(1 << (lane & 31));
    cells[cell * stride + bits] = left;
    if (left === 0) this.unlink(cell, before);
  }

  private wordOf(set: number, name: number): number {
    const { cells } = this;
    for (let cell = set; cell !== 0; cell = cells[cell * stride + next]) {
      if (cells[cell * stride + where] === name) return cells[cell * stride + bits];
    }
    return 0;
  }

  /** Takes an empty cell out of its set; the set's first cell stays and takes over what the second holds. */
  private unlink(cell: number, before: number): void {
    const { cells } = this;
    const after = cells[cell * stride + next];
    if (before !== 0) {
      cells[before * stride + next] = after;
      this.pool.give(cell);
    } else if (after !== 0) {
      cells.copyWithin(cell * stride, after * stride, after * stride + stride);
      this.pool.give(after);
    }
  }
}
