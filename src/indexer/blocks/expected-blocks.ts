import type { BlockNodes } from './block-nodes.ts';
import type { Expectations } from './expectations.ts';
import { expectedPlane, type LaneSets } from './lane-sets.ts';
import type { Lanes } from './lanes.ts';

/** Ended at most by one call: a decision must not wait for more than half a millisecond of it. */
const endedAtOnce = 1024;

/** What lanes are expected to hold soon: keeps nodes, sets of lanes and expectations in step. */
export class ExpectedBlocks {
  private readonly nodes: BlockNodes;
  private readonly sets: LaneSets;
  private readonly lanes: Lanes;
  private readonly expectations: Expectations;

  constructor(nodes: BlockNodes, sets: LaneSets, lanes: Lanes, expectations: Expectations) {
    this.nodes = nodes;
    this.sets = sets;
    this.lanes = lanes;
    this.expectations = expectations;
  }

  /** Expects the block until `end` unless the lane holds it; an earlier expectation lasts until then too. */
  expect(node: number, lane: number, end: number): void {
    const { expectations } = this;
    if (this.sets.hasTier(node, lane)) return;
    const known = expectations.find(node, lane);
    if (known !== 0) {
      expectations.renew(known, end);
      return;
    }
    this.nodes.refer(node);
    if (expectations.full) this.end(expectations.oldest);
    expectations.add(node, lane, end);
    this.sets.add(node, lane, expectedPlane);
    this.lanes.use(lane);
  }

  /** The lane now holds the block. */
  confirm(node: number, lane: number): void {
    const entry = this.expectations.find(node, lane);
    if (entry !== 0) this.end(entry);
  }

  /** Ends what has run out, a bounded number of expectations a call. */
  expire(now: number): void {
    const { expectations } = this;
    for (let budget = endedAtOnce; budget > 0; budget--) {
      const entry = expectations.oldest;
      if (entry === 0 || expectations.endOf(entry) > now) return;
      this.end(entry);
    }
  }

  private end(entry: number): void {
    const { expectations } = this;
    const node = expectations.nodeOf(entry);
    const lane = expectations.laneOf(entry);
    expectations.remove(entry);
    this.sets.delete(node, lane, expectedPlane);
    this.nodes.release(node);
    this.lanes.unuse(lane);
  }
}
