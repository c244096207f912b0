import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { candidatesOf, endpoint, endpoints, promptOf, request } from '../../test/fixtures/fleet.ts';
import { blockBytes } from '../router/prompt.ts';
import { ApproximateIndex } from './approximate.ts';
import { bytesPerBlock } from './block-cache.ts';

const tokensPerBlock = blockBytes / 4;

/** A prompt of whole blocks, one for each letter: prompts with a common beginning share those blocks. */
const ask = (letters: string, over = {}) =>
  request({ prompt: promptOf([...letters].map((letter) => letter.repeat(blockBytes)).join('')), ...over });

/** Blocks that the index finds on each of the first `count` slots. */
function found(index: ApproximateIndex, letters: string, count: number): number[] {
  const candidates = candidatesOf(endpoints(count), 1e6);
  index.match(ask(letters), candidates, candidates.cachedTokens);
  return Array.from(candidates.cachedTokens.subarray(0, count), (tokens) => tokens / tokensPerBlock);
}

describe('ApproximateIndex', () => {
  it('finds the common beginning of what was sent to each endpoint', () => {
    const index = new ApproximateIndex();
    index.routed(ask('abcd'), 0);
    index.routed(ask('abxy'), 1);
    index.routed(ask('zabc'), 2);
    expect(found(index, 'abcde', 4)).toEqual([4, 2, 0, 0]);
    expect(found(index, 'abx', 4)).toEqual([2, 3, 0, 0]);
  });

  it('writes to the place of the candidate, not of the slot', () => {
    const index = new ApproximateIndex();
    index.routed(ask('ab'), 7);
    const candidates = candidatesOf([endpoint(3), endpoint(7)], 1000);
    index.match(ask('ab'), candidates, candidates.cachedTokens);
    expect([...candidates.cachedTokens.subarray(0, 2)]).toEqual([0, 2 * tokensPerBlock]);
  });

  it('never claims more tokens than the prompt has', () => {
    const index = new ApproximateIndex();
    index.routed(ask('abc'), 0);
    const candidates = candidatesOf(endpoints(1), 50);
    index.match(ask('abc'), candidates, candidates.cachedTokens);
    expect(candidates.cachedTokens[0]).toBe(50);
  });

  it('counts full blocks only, and overwrites what stood in the row before', () => {
    const index = new ApproximateIndex();
    const short = request({ prompt: promptOf('x'.repeat(blockBytes - 1)) });
    index.routed(short, 0);
    expect(index.size).toBe(0);
    const candidates = candidatesOf(endpoints(1), 100, [99]);
    index.match(short, candidates, candidates.cachedTokens);
    expect(candidates.cachedTokens[0]).toBe(0);
  });

  it('keeps models and cache salts apart', () => {
    const index = new ApproximateIndex();
    const text = 'a'.repeat(blockBytes);
    index.routed(request({ prompt: promptOf(text, 'm', 'tenant-1') }), 0);
    for (const [model, salt, blocks] of [
      ['m', 'tenant-1', 1],
      ['m', 'tenant-2', 0],
      ['m', '', 0],
      ['n', 'tenant-1', 0],
    ] as const) {
      const candidates = candidatesOf(endpoints(1), 1000);
      index.match(request({ prompt: promptOf(text, model, salt) }), candidates, candidates.cachedTokens);
      expect(candidates.cachedTokens[0]).toBe(blocks * tokensPerBlock);
    }
  });

  it('forgets one endpoint without touching the others', () => {
    const index = new ApproximateIndex();
    index.routed(ask('ab'), 0);
    index.routed(ask('ab'), 1);
    index.forget(0);
    index.forget(5);
    expect(found(index, 'ab', 2)).toEqual([0, 2]);
    index.routed(ask('a'), 0);
    expect(found(index, 'ab', 2)).toEqual([1, 2]);
  });

  it('remembers as much as the engine can hold and drops the least recently used beyond', () => {
    const index = new ApproximateIndex();
    index.setCapacity(0, 4 * tokensPerBlock);
    index.routed(ask('ab'), 0);
    index.routed(ask('cd'), 0);
    index.routed(ask('a'), 0);
    index.routed(ask('ef'), 0);
    expect(found(index, 'ab', 1)).toEqual([1]);
    expect(found(index, 'cd', 1)).toEqual([1]);
    expect(found(index, 'ef', 1)).toEqual([2]);
    index.setCapacity(0, 2 * tokensPerBlock);
    expect(index.size).toBe(2);
    expect(found(index, 'ef', 1)).toEqual([2]);
  });

  it('keeps at least a block where an engine reports a cache of nothing', () => {
    const index = new ApproximateIndex();
    index.setCapacity(0, 0);
    index.routed(ask('ab'), 0);
    expect(found(index, 'ab', 1)).toEqual([1]);
  });

  it('keeps the size of an engine that restarts', () => {
    const index = new ApproximateIndex();
    index.setCapacity(0, 2 * tokensPerBlock);
    index.routed(ask('ab'), 0);
    index.forget(0);
    index.routed(ask('abcdef'), 0);
    expect(index.size).toBe(2);
  });

  it('shares its memory among the endpoints in use, however they come and go', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 60 });
    const step = fc.record({ slot: fc.nat(20), letters, forget: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const memory = 400 * bytesPerBlock;
        const index = new ApproximateIndex(memory);
        for (const { slot, letters: sent, forget } of steps) {
          if (forget) index.forget(slot);
          index.routed(ask(sent), slot);
        }
        // A request for each slot: every endpoint has had its turn to give back what it has too much.
        for (let i = 0; i <= 21; i++) index.routed(ask('a'), 0);
        expect(index.bytes).toBeLessThanOrEqual(memory + 21 * 64);
      }),
      { numRuns: 60 },
    );
  });

  it("lets an endpoint use its neighbours' memory again when they have gone", () => {
    const index = new ApproximateIndex(64 * bytesPerBlock);
    const long = ask('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789');
    for (let slot = 0; slot < 8; slot++) index.routed(long, slot);
    for (let i = 0; i < 9; i++) index.routed(long, 0);
    expect(index.size).toBe(64);
    for (let slot = 1; slot < 8; slot++) index.forget(slot);
    index.routed(long, 0);
    expect(index.size).toBe(62);
  });

  it('counts on less of a cache whose engine keeps having less than was predicted, and forgets that with the engine', () => {
    const index = new ApproximateIndex();
    index.setCapacity(0, 8 * tokensPerBlock);
    index.routed(ask('abcdefgh'), 0);
    for (let i = 0; i < 200; i++) index.answered(0, 1, 0);
    expect(found(index, 'abcdefgh', 1)).toEqual([1]);
    index.forget(0);
    index.routed(ask('abcdefgh'), 0);
    expect(found(index, 'abcdefgh', 1)).toEqual([8]);
  });

  it('forgets what no request has used for a whole round, endpoint by endpoint', () => {
    const index = new ApproximateIndex();
    for (const slot of [0, 1]) index.routed(ask('ab'), slot);
    expect([index.age(1), index.age(1)]).toEqual([false, true]);
    index.routed(ask('a'), 0);
    expect(found(index, 'ab', 2)).toEqual([2, 2]);
    expect(index.age(2)).toBe(true);
    expect(found(index, 'ab', 2)).toEqual([1, 0]);
  });
});
