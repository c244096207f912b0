import type { BlockIndex } from '../blocks/block-index.ts';
import { TokenKeys } from '../blocks/token-keys.ts';
import type { Holder } from '../kv-events.ts';
import type { BlockLookup, PrefixMatch, WantedPrefix } from './roster.ts';

const none: PrefixMatch = Object.freeze({ gpu: 0, cpu: 0, disk: 0 });

/** Looks prompts up in the block index: once for each block size that the caches asked about have. */
export class IndexLookup implements BlockLookup {
  private readonly index: BlockIndex;
  private readonly keys: TokenKeys;

  /** `secret` is that of the index. */
  constructor(index: BlockIndex, secret: number) {
    this.index = index;
    this.keys = new TokenKeys(secret);
  }

  blockSizeOf(holder: Holder): number {
    return this.index.blockSizeOf(holder);
  }

  match(prefix: WantedPrefix, holders: readonly Holder[]): PrefixMatch[] {
    const found = new Array<PrefixMatch>(holders.length).fill(none);
    for (const blockSize of this.sizesOf(holders)) {
      const count = this.compute(prefix, blockSize);
      const { blocks, cpu, disk } = this.index.match(this.keys.keys, count);
      holders.forEach((holder, i) => {
        if (this.blockSizeOf(holder) !== blockSize) return;
        const gpu = blocks[holder] - cpu[holder] - disk[holder];
        found[i] = { gpu: gpu * blockSize, cpu: cpu[holder] * blockSize, disk: disk[holder] * blockSize };
      });
    }
    return found;
  }

  gpuRuns(prefix: WantedPrefix, holders: readonly Holder[]): number[] {
    const all = this.match(prefix, holders);
    const runs = all.map(({ gpu }) => gpu);
    for (const blockSize of this.sizesOf(holders)) {
      const mixed = all.flatMap(({ gpu, cpu, disk }, i) => {
        return gpu > 0 && cpu + disk > 0 && this.blockSizeOf(holders[i]) === blockSize ? [i] : [];
      });
      if (mixed.length === 0) continue;
      this.compute(prefix, blockSize);
      for (const i of mixed) {
        const { gpu, cpu, disk } = all[i];
        runs[i] = this.runOf(holders[i], (gpu + cpu + disk) / blockSize) * blockSize;
      }
    }
    return runs;
  }

  /**
   * Blocks from the first on that all lie in GPU memory, where not all of `count` do: found by halving, since what lies
   * further away only grows with the prefix. The keys are in hand.
   */
  private runOf(holder: Holder, count: number): number {
    let near = 0;
    let far = count;
    while (far - near > 1) {
      const middle = (near + far) >>> 1;
      const { cpu, disk } = this.index.match(this.keys.keys, middle);
      if (cpu[holder] + disk[holder] === 0) near = middle;
      else far = middle;
    }
    return near;
  }

  private compute({ tokens, lora, salt }: WantedPrefix, blockSize: number): number {
    return this.keys.compute(tokens, tokens.length, { blockSize, lora, salt });
  }

  private sizesOf(holders: readonly Holder[]): Set<number> {
    const sizes = new Set(holders.map((holder) => this.blockSizeOf(holder)));
    sizes.delete(0);
    return sizes;
  }
}
