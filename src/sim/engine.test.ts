import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Engine, type CacheListener } from './engine.ts';
import type { Sequence, SequenceListener } from './sequence.ts';
import { defaultServiceModel, stepSeconds, type ServiceModel } from './service-model.ts';

const silent: SequenceListener = { progressed: () => undefined };
const small: ServiceModel = { ...defaultServiceModel, kvTokens: 64, blockSize: 4, maxRunning: 3, chunkTokens: 8 };

function tokens(count: number, first = 0): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => first + i);
}

function runDry(engine: Engine): number {
  let now = 0;
  while (engine.due < Infinity) {
    now = engine.due;
    engine.advance(now);
  }
  return now;
}

function submit(engine: Engine, prompt: Uint32Array, maxOutput = 1, now = 0): Sequence {
  return engine.submit({ prompt, maxOutput, listener: silent }, now);
}

describe('the service model', () => {
  const cases: [string, number, number, number][] = [
    ['one decode', 1, 0, 0.006_35],
    ['a batch of 100 that only decodes', 100, 0, 0.041],
    ['a full chunk alone: exactly 8,000 tokens a second', 0, 2_048, 0.256],
    ['a short prompt alone costs a step', 0, 4, 0.006],
    ['a chunk stalls the decode it shares a step with', 1, 2_047, 0.006_35 + 2_047 / 8_000],
  ];
  test.each(cases)('%s', (_name, decodes, prefill, seconds) => {
    expect(stepSeconds(defaultServiceModel, decodes, prefill)).toBeCloseTo(seconds, 9);
  });
});

describe('one request', () => {
  test('gets its first token when its prompt is computed, then one every inter-token time', () => {
    const engine = new Engine(defaultServiceModel);
    const sequence = submit(engine, tokens(8_000), 11);
    runDry(engine);
    expect(sequence.firstTokenAt).toBeCloseTo(1, 9);
    expect(sequence.endedAt).toBeCloseTo(1 + 10 * 0.006_35, 9);
  });

  test('with no output ends when its prompt is computed', () => {
    const engine = new Engine(defaultServiceModel);
    const sequence = submit(engine, tokens(4_000), 0);
    runDry(engine);
    expect(sequence.state).toBe('finished');
    expect(sequence.endedAt).toBeCloseTo(0.5, 9);
    expect(engine.totals.generatedTokens).toBe(0);
  });

  test('that can never fit is refused', () => {
    expect(() => submit(new Engine(small), tokens(64), 1)).toThrow(RangeError);
    expect(() => submit(new Engine(small), tokens(0), 1)).toThrow(RangeError);
  });
});

describe('the prefix cache', () => {
  const cases: [string, Uint32Array, Uint32Array, number][] = [
    ['an equal prompt hits all but the block of its last token', tokens(32), tokens(32), 28],
    ['a longer prompt hits every full block of the shorter', tokens(32), tokens(40), 32],
    ['a partial block is never hit', tokens(30), tokens(40), 28],
    ['a difference in the first token hits nothing', tokens(32), tokens(32, 1), 0],
    ['a difference behind 16 tokens hits 16', tokens(32), Uint32Array.from([...tokens(16), ...tokens(16, 99)]), 16],
  ];
  test.each(cases)('%s', (_name, first, second, cached) => {
    const engine = new Engine(small);
    submit(engine, first);
    runDry(engine);
    const sequence = submit(engine, second);
    runDry(engine);
    expect(sequence.cachedTokens).toBe(cached);
    expect(engine.totals.hitTokens).toBe(cached);
    expect(engine.totals.queriedTokens).toBe(first.length + second.length);
  });

  test('holds output tokens too: the next turn of a chat hits the answer', () => {
    const engine = new Engine(small);
    const first = submit(engine, tokens(8), 9);
    runDry(engine);
    // The ninth output token is never computed, and the eighth fills a block.
    const sequence = submit(engine, Uint32Array.from([...first.tokens, 1, 2, 3]));
    runDry(engine);
    expect(sequence.cachedTokens).toBe(16);
  });

  test('is not shared with another adapter or salt', () => {
    const engine = new Engine(small);
    submit(engine, tokens(16));
    const spec = { prompt: tokens(16), maxOutput: 1, listener: silent };
    const others = [
      engine.submit({ ...spec, adapter: { name: 'a', id: 1 } }, 0),
      engine.submit({ ...spec, salt: 's' }, 0),
    ];
    runDry(engine);
    expect(others.map(({ cachedTokens }) => cachedTokens)).toEqual([0, 0]);
  });

  test('loses the blocks that were free for longest, the end of a prompt first', () => {
    const engine = new Engine(small);
    submit(engine, tokens(31));
    runDry(engine);
    submit(engine, tokens(31, 100));
    runDry(engine);
    // 16 blocks: 7 cached for each, 2 empty ones; four more are needed than are empty.
    submit(engine, tokens(23, 200));
    runDry(engine);
    const old = submit(engine, tokens(31));
    runDry(engine);
    expect(old.cachedTokens).toBe(12);
  });

  test('never holds what was planned but not computed', () => {
    const engine = new Engine(small);
    engine.abort(submit(engine, tokens(32)), 0.001);
    const again = submit(engine, tokens(32), 1, 0.001);
    runDry(engine);
    // The step under way at the abort computed one chunk.
    expect(again.cachedTokens).toBe(8);
  });

  test('is cleared only when nobody holds a block', () => {
    const engine = new Engine(small);
    submit(engine, tokens(16));
    expect(engine.clearCache()).toBe(false);
    runDry(engine);
    expect(engine.clearCache()).toBe(true);
    const again = submit(engine, tokens(16));
    runDry(engine);
    expect(again.cachedTokens).toBe(0);
  });
});

describe('the batch', () => {
  test('a long prompt shares its steps with decodes, which its chunks slow down', () => {
    const engine = new Engine(defaultServiceModel);
    const decoding = submit(engine, tokens(16), 100);
    engine.advance(engine.due);
    const long = submit(engine, tokens(4_096, 1_000), 1, engine.due - 0.001);
    runDry(engine);
    // One decode goes along with each chunk of 2,047.
    expect(long.firstTokenAt - long.arrivedAt).toBeGreaterThan(4_096 / 8_000);
    expect(decoding.endedAt).toBeGreaterThan(99 * 0.006_35 + 4_096 / 8_000);
  });

  test('admits no more than it may run', () => {
    const engine = new Engine(small);
    const all = [1, 2, 3, 4, 5].map((n) => submit(engine, tokens(4, n * 100), 3));
    engine.advance(engine.due);
    expect([engine.running, engine.waiting]).toEqual([3, 2]);
    runDry(engine);
    expect(all.every(({ state }) => state === 'finished')).toBe(true);
  });

  test('without a free block, the request admitted last gives way and still ends', () => {
    const engine = new Engine(small);
    const first = submit(engine, tokens(28), 30);
    const second = submit(engine, tokens(28, 500), 30);
    runDry(engine);
    expect(engine.totals.preempted).toBeGreaterThan(0);
    expect(first.endedAt).toBeLessThan(second.endedAt);
    expect([first.outputLength, second.outputLength]).toEqual([30, 30]);
  });

  test('asleep it answers nobody, and goes on when woken', () => {
    const engine = new Engine(small);
    engine.sleep();
    const sequence = submit(engine, tokens(8), 2);
    expect(engine.due).toBe(Infinity);
    engine.wake(5);
    runDry(engine);
    expect(sequence.firstTokenAt).toBeGreaterThan(5);
  });

  test('steps that are due long ago end at their own times, and the lateness is counted', () => {
    const engine = new Engine(defaultServiceModel);
    const sequence = submit(engine, tokens(8_000), 1);
    engine.advance(1.5);
    expect(sequence.endedAt).toBeCloseTo(1, 9);
    expect(engine.totals.lateSeconds).toBeCloseTo(0.5, 9);
    expect(engine.totals.requestSeconds).toBeCloseTo(1, 9);
  });
});

/** A prompt over few different tokens, so that prefixes are often shared by chance. */
const promptArbitrary = fc.array(fc.constantFrom(1, 2), { minLength: 1, maxLength: 40 });
const actionArbitrary = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('submit' as const), prompt: promptArbitrary, output: fc.nat(20) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('step' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('abort' as const), which: fc.nat(20) }) },
);

/** What the cache says it holds, by the events alone. */
class Mirror implements CacheListener {
  readonly held = new Set<string>();
  stored(sequence: Sequence, from: number, to: number): void {
    for (let block = from; block < to; block++) {
      const key = `${sequence.hashHigh(block)}:${sequence.hashLow(block)}`;
      expect(this.held.has(key)).toBe(false);
      this.held.add(key);
    }
  }
  removed(high: number, low: number): void {
    expect(this.held.delete(`${high}:${low}`)).toBe(true);
  }
  cleared(): void {
    this.held.clear();
  }
  stepEnded(): void {
    // Batches do not matter here.
  }
}

function sharedPrefix(a: Sequence, b: Sequence): number {
  let length = 0;
  while (length < a.length && length < b.length && a.tokens[length] === b.tokens[length]) length += 1;
  return length;
}

test('whatever comes, blocks are conserved, order is kept, nothing is answered before it is computed, and all ends', () => {
  fc.assert(
    fc.property(fc.array(actionArbitrary, { maxLength: 60 }), (actions) => {
      const mirror = new Mirror();
      const engine = new Engine(small, mirror);
      const all: Sequence[] = [];
      const listener: SequenceListener = {
        progressed(sequence) {
          const tokensMade = sequence.maxOutput > 0 ? 1 : 0;
          expect(sequence.computed).toBe(sequence.length - tokensMade);
        },
      };
      let now = 0;
      const check = (): void => {
        const heldBlocks = new Set(all.flatMap(({ blocks }) => blocks));
        expect(engine.pool.used).toBe(heldBlocks.size);
        expect(engine.pool.cached).toBe(mirror.held.size);
        const running = all.map(({ state }, i) => (state === 'running' ? i : -1));
        const waiting = all.map(({ state }, i) => (state === 'waiting' ? i : Infinity));
        expect(Math.max(-1, ...running)).toBeLessThan(Math.min(Infinity, ...waiting));
        expect(engine.running).toBeLessThanOrEqual(small.maxRunning);
      };
      for (const action of actions) {
        if (action.kind === 'submit') {
          const spec = { prompt: Uint32Array.from(action.prompt), maxOutput: action.output, listener };
          all.push(engine.submit(spec, now));
        } else if (action.kind === 'abort' && all.length > 0) {
          engine.abort(all[action.which % all.length], now);
        } else if (engine.due < Infinity) {
          now = engine.due;
          engine.advance(now);
        }
        check();
      }
      while (engine.due < Infinity) {
        engine.advance(engine.due);
        check();
      }
      for (const [i, sequence] of all.entries()) {
        expect(sequence.ended).toBe(true);
        if (sequence.state !== 'finished') continue;
        expect(sequence.outputLength).toBe(sequence.maxOutput);
        expect(sequence.cachedTokens % small.blockSize).toBe(0);
        expect(sequence.cachedTokens).toBeLessThan(sequence.promptLength);
        const known = Math.max(0, ...all.filter((_, j) => j !== i).map((other) => sharedPrefix(sequence, other)));
        expect(sequence.cachedTokens).toBeLessThanOrEqual(known);
        const computed = (sequence.promptLength - sequence.cachedTokens) / small.prefillRate;
        expect(sequence.firstTokenAt - sequence.arrivedAt).toBeGreaterThanOrEqual(computed - 1e-9);
      }
      expect(engine.pool.used).toBe(0);
      expect(engine.totals.finished + engine.totals.aborted).toBe(all.length);
    }),
    { numRuns: 300 },
  );
});
