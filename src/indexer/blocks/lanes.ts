import type { Holder } from '../kv-events.ts';
import { lanesPerGroup } from './lane-sets.ts';
import { sharedInts } from './pool.ts';

const none = -1;

/**
 * Which lane (bit position) each holder has. A holder that is closed or cleared leaves its lane: lookups skip it from
 * then on, what lies in it is swept little by little, and only then does the lane go to another holder.
 */
export class Lanes {
  readonly holders: number;
  readonly count: number;
  /** A bit for each lane that a holder has. */
  readonly live: Int32Array;
  /** The holder that has the lane. */
  readonly holderOf: Int32Array;
  /** Groups that have ever had a live lane. */
  groups = 0;
  private readonly laneOf: Int32Array;
  private readonly isOpen: Uint8Array;
  /** Entries that name the lane. */
  private readonly uses: Int32Array;
  /** Lanes that their holders have left and that entries still name. */
  readonly left: number[] = [];
  /** Lanes to give out, from the end. */
  private readonly free: number[] = [];

  /** `holders`: the most that can be open at a time. There are as many lanes again for those that are being swept. */
  constructor(holders: number) {
    const groups = Math.ceil((2 * holders) / lanesPerGroup);
    this.holders = holders;
    this.count = groups * lanesPerGroup;
    this.live = sharedInts(groups);
    this.holderOf = sharedInts(this.count);
    this.uses = sharedInts(this.count);
    this.laneOf = new Int32Array(holders).fill(none);
    this.isOpen = new Uint8Array(holders);
    for (let lane = this.count - 1; lane >= 0; lane--) this.free.push(lane);
  }

  /** The lowest holder that is not open, or null. */
  open(): Holder | null {
    const holder = this.isOpen.indexOf(0);
    if (holder < 0) return null;
    this.isOpen[holder] = 1;
    return holder;
  }

  close(holder: Holder): void {
    this.leave(holder);
    this.isOpen[holder] = 0;
  }

  has(holder: Holder): boolean {
    return this.isOpen[holder] === 1;
  }

  /** The holder's lane, given when first asked for; negative while none is to be had. */
  of(holder: Holder): number {
    const lane = this.laneOf[holder];
    return lane === none ? this.enter(holder) : lane;
  }

  /** The holder's lane; negative where it has none or is not open. */
  current(holder: Holder): number {
    return this.laneOf[holder] ?? none;
  }

  /** Gives the holder another lane, when next asked for, if anything lies in the one it has. */
  clear(holder: Holder): void {
    const lane = this.laneOf[holder];
    if (lane !== none && this.uses[lane] > 0) this.leave(holder);
  }

  /** Notes an entry that names the lane. */
  use(lane: number): void {
    this.uses[lane] += 1;
  }

  /** Takes the note back; a lane left by its holder is free with its last entry. */
  unuse(lane: number): void {
    this.uses[lane] -= 1;
    if (this.uses[lane] > 0 || this.isLive(lane)) return;
    this.left.splice(this.left.indexOf(lane), 1);
    this.free.push(lane);
  }

  private enter(holder: Holder): number {
    const lane = this.free.pop();
    if (lane === undefined) return none;
    const group = lane >>> 5;
    this.laneOf[holder] = lane;
    this.holderOf[lane] = holder;
    this.live[group] |= 1 << (lane & 31);
    this.groups = Math.max(this.groups, group + 1);
    return lane;
  }

  private leave(holder: Holder): void {
    const lane = this.laneOf[holder];
    if (lane === none) return;
    this.laneOf[holder] = none;
    this.live[lane >>> 5] &= ~(1 << (lane & 31));
    if (this.uses[lane] > 0) this.left.push(lane);
    else this.free.push(lane);
  }

  private isLive(lane: number): boolean {
    return (this.live[lane >>> 5] & (1 << (lane & 31))) !== 0;
  }
}
