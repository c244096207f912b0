import type { PairCosts, Pairs } from '../../router/pairs.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { definePairPicker } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** The cheapest pair of one group (v25.12). Whatever groups they are of, equal pairs are equally likely. */
export const cheapestPair = definePairPicker({
  kind: 'pair-picker',
  type: 'picker-pd-kv-cache-aware',
  summary: 'The cheapest pair of a prefiller and a decoder of one group; one at random among equals.',
  parameters: noParameters,
  create: (_parameters, { random }) => ({
    pick(_request: InferenceRequest, pairs: Pairs, { groups, prefills, decodes }: PairCosts): void {
      const { prefillStarts, decodeStarts } = pairs;
      let best = Infinity;
      pairs.equals = 0;
      for (let g = 0; g < pairs.length; g++) {
        const prefill = prefills.best(prefillStarts[g], prefillStarts[g + 1]);
        const decode = decodes.best(decodeStarts[g], decodeStarts[g + 1]);
        const cost = groups[g] + prefills.costs[prefill] + decodes.costs[decode];
        if (cost > best) continue;
        if (cost < best) pairs.equals = 0;
        best = cost;
        const equals = prefills.equals(prefill, prefillStarts[g + 1]) * decodes.equals(decode, decodeStarts[g + 1]);
        pairs.equals += equals;
        // Reservoir of one, by the number of equal pairs in each group.
        if (pairs.equals > equals && random() * pairs.equals >= equals) continue;
        pairs.group = g;
        pairs.prefill = prefill;
        pairs.decode = decode;
      }
      const { group } = pairs;
      pairs.prefill = prefills.draw(pairs.prefill, prefillStarts[group + 1], random);
      pairs.decode = decodes.draw(pairs.decode, decodeStarts[group + 1], random);
    },
  }),
});
