import type { Candidates } from './candidates.ts';
import type { Endpoint } from './endpoint.ts';

/** The cheapest of the candidates but the pick: where a gateway goes when the pick does not answer. */
export class Fallbacks {
  private readonly found: Endpoint[] = [];
  private readonly places: number[] = [];

  /**
   * At most `limit` endpoints, the best first and those that were left out last; the same array each time. Among
   * equals the next after the pick comes first, so that the fallbacks of picks made by chance are spread as those are.
   */
  cheapest(candidates: Candidates, costs: Float64Array, pick: number, limit: number): readonly Endpoint[] {
    const { found, places } = this;
    const { length: n, spared, endpoints } = candidates;
    const wanted = Math.min(limit, n - 1);
    let count = 0;
    for (let step = 1; step < n; step++) {
      const i = (pick + step) % n;
      if (count === wanted && !(costs[i] < costs[places[count - 1]])) continue;
      if (count < wanted) count += 1;
      // Insertion into a list of two or three: sorting hundreds would cost more than the decision.
      let at = count - 1;
      for (; at > 0 && costs[i] < costs[places[at - 1]]; at--) places[at] = places[at - 1];
      places[at] = i;
    }
    found.length = 0;
    for (let f = 0; f < count; f++) found.push(endpoints[places[f]]);
    for (let i = n; i < n + spared && found.length < limit; i++) found.push(endpoints[i]);
    return found;
  }
}
