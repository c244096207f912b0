import type { PairCosts, Pairs } from './pairs.ts';

/**
 * Picks a decoder that does prefill, too: of those that would have to compute at most `limit` prompt tokens the
 * cheapest, one at random among equals. False, and nothing picked, where each would have to compute more.
 */
export function pickAlone(pairs: Pairs, { decodes: costs }: PairCosts, limit: number, random: () => number): boolean {
  const { promptTokens, decodes } = pairs;
  let best = -1;
  let equals = 0;
  for (let i = 0; i < decodes.length; i++) {
    if (promptTokens - decodes.cachedTokens[i] > limit) continue;
    const order = best < 0 ? -1 : costs.compare(i, best);
    if (order > 0) continue;
    equals = order < 0 ? 1 : equals + 1;
    // Reservoir of one: the k-th equal replaces the pick with probability 1/k, so all are equally likely.
    if (equals === 1 || random() * equals < 1) best = i;
  }
  if (best < 0) return false;
  pairs.group = -1;
  pairs.prefill = -1;
  pairs.decode = best;
  pairs.equals = equals;
  return true;
}
