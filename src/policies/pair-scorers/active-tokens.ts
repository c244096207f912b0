import { Type } from 'typebox';
import type { PairCosts, Pairs } from '../../router/pairs.ts';
import type { PairCharges } from '../../router/plugin.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { DecayingLoads } from '../decaying-loads.ts';
import { definePairScorer } from '../definition.ts';
import { weight } from '../parameters.ts';

/**
 * How a leader balances its group when nobody has named a pair (lowest wins): a prefiller costs
 * `active tokens + kvWeight·active KV`, a decoder `active tokens`. A request's prompt tokens are active at its
 * prefiller until that has answered, stay there as KV until the decoder's first byte, and are active at the decoder
 * until the answer ends. Ancestor: the load balancing proxy server of vllm-ascend.
 */
export const pdActiveTokens = definePairScorer({
  kind: 'pair-scorer',
  type: 'scorer-pd-active-tokens',
  summary:
    'Pairs by the prompt tokens that each engine works on or holds for another: how a leader balances by itself.',
  readsHits: false,
  parameters: Type.Object(
    { kvWeight: weight('Weight of a token that a prefiller holds for a decoder, beside one that it computes.', 0.3) },
    { additionalProperties: false },
  ),
  create: ({ kvWeight }, { states }) => {
    const charges = new ActiveTokens(states.capacity);
    return {
      charges,
      score(_request: InferenceRequest, { prefills, decodes }: Pairs, costs: PairCosts): void {
        const { computed, held, decoded } = charges;
        for (let i = 0; i < prefills.length; i++) {
          const slot = prefills.slots[i];
          costs.prefills.costs[i] = computed.loadOf(slot, timeless) + kvWeight * held.loadOf(slot, timeless);
        }
        decoded.read(decodes, costs.decodes.costs, timeless);
      },
    };
  },
});

/** Nothing decays here. */
const timeless = 0;

class ActiveTokens implements PairCharges {
  readonly computed: DecayingLoads;
  readonly held: DecayingLoads;
  readonly decoded: DecayingLoads;

  constructor(capacity: number) {
    this.computed = new DecayingLoads(capacity, 1);
    this.held = new DecayingLoads(capacity, 1);
    this.decoded = new DecayingLoads(capacity, 1);
  }

  charge(prefillSlot: number, decodeSlot: number, promptTokens: number): number {
    this.decoded.add(decodeSlot, promptTokens, timeless);
    if (prefillSlot < 0) return timeless;
    this.computed.add(prefillSlot, promptTokens, timeless);
    this.held.add(prefillSlot, promptTokens, timeless);
    return timeless;
  }

  prefilled(slot: number, promptTokens: number): void {
    this.computed.giveBack(slot, promptTokens, timeless, timeless);
  }

  answered(slot: number, promptTokens: number): void {
    this.held.giveBack(slot, promptTokens, timeless, timeless);
  }

  ended(slot: number, promptTokens: number): void {
    this.decoded.giveBack(slot, promptTokens, timeless, timeless);
  }
}
