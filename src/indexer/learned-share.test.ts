import { describe, expect, it } from 'vitest';
import { LearnedShare } from './learned-share.ts';

function after(count: number, predicted: number, cached: number, share = new LearnedShare()): LearnedShare {
  for (let i = 0; i < count; i++) share.observe(predicted, cached);
  return share;
}

describe('the share of a cache that can be counted on', () => {
  it.each([
    ['is all while nothing is known', 0, 0, 0, 1],
    ['stays all where engines have what was predicted', 100, 0.9, 0.9, 1],
    ['stays all where they have more', 100, 0.2, 0.9, 1],
    ['passes over what a block or two make', 100, 0.9, 0.82, 1],
    ['falls where they have less, time and again', 14, 0.9, 0.5, 0.5],
    ['never falls to nothing', 1000, 1, 0, 1 / 8],
  ])('%s', (_name, count, predicted, cached, expected) => {
    expect(after(count, predicted, cached).value).toBe(expected);
  });

  it('takes silence for nothing cached of engines that speak of their cache, and for nothing of others', () => {
    const share = new LearnedShare();
    const silence = (): void => {
      for (let i = 0; i < 1000; i++) share.observe(1, null);
    };
    silence();
    expect(share.value).toBe(1);
    share.observe(1, 1);
    silence();
    expect(share.value).toBe(1 / 8);
  });

  it('grows back once predictions are right, and learns nothing from prompts of which nothing was predicted', () => {
    const share = after(1000, 1, 0);
    expect(after(1000, 0, 0, share).value).toBe(1 / 8);
    expect(after(1000, 1, 1, share).value).toBe(1);
  });
});
