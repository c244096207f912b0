import type { Engine } from '../../src/sim/engine.ts';
import { Sequence, type SequenceListener } from '../../src/sim/sequence.ts';

const nobody: SequenceListener = { progressed: () => undefined };

/** A simulated engine and every request that it has ever been given. */
export class Watched {
  private readonly engine: Engine;
  private readonly all: Sequence[] = [];
  /** Requests not seen ended yet. */
  private open: Sequence[] = [];

  constructor(engine: Engine) {
    this.engine = engine;
    const submit = engine.submit.bind(engine);
    engine.submit = (spec, now) => {
      const sequence = submit(spec, now);
      this.all.push(sequence);
      this.open.push(sequence);
      return sequence;
    };
  }

  /** Engine seconds from the arrival at the engine to the first token, of every request that has one. */
  firstTokens(): number[] {
    const answered = this.all.filter(({ firstTokenAt }) => firstTokenAt >= 0);
    return answered.map(({ firstTokenAt, arrivedAt }) => firstTokenAt - arrivedAt);
  }

  /** Leading tokens of a prompt that the cache holds, or will hold once the requests queued here are computed. */
  prefixOf(prompt: Uint32Array): number {
    const { blockSize } = this.engine.model;
    const asked = new Sequence({ prompt, maxOutput: 0, listener: nobody }, blockSize);
    // The last token is always computed anew, and so the block that it is in.
    const most = Math.floor((prompt.length - 1) / blockSize);
    let best = this.leading(most, (block) => this.isCached(asked, block));
    this.open = this.open.filter(({ ended }) => !ended);
    for (const other of this.open) {
      const whole = Math.min(most, Math.floor(other.promptLength / blockSize));
      best = Math.max(
        best,
        this.leading(whole, (block) => isSame(asked, other, block)),
      );
    }
    return best * blockSize;
  }

  private leading(most: number, has: (block: number) => boolean): number {
    let count = 0;
    while (count < most && has(count)) count += 1;
    return count;
  }

  private isCached(asked: Sequence, block: number): boolean {
    return this.engine.pool.find(asked.hashHigh(block), asked.hashLow(block)) >= 0;
  }
}

function isSame(a: Sequence, b: Sequence, block: number): boolean {
  return a.hashHigh(block) === b.hashHigh(block) && a.hashLow(block) === b.hashLow(block);
}
