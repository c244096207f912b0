import type { Endpoint } from '../../router/endpoint.ts';
import { tpSizeOf } from '../../router/pair-grouping.ts';
import type { PairCosts, Pairs } from '../../router/pairs.ts';
import type { PairScorer } from '../../router/plugin.ts';
import type { InferenceRequest } from '../../router/request.ts';
import type { EndpointStates } from '../../router/states.ts';
import { definePairScorer } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** What the formula weighs by; the README of bench/pd shows how wide its plateau is. */
export interface LeastTimeWeights {
  /** Of the request's own prefill, for the time until its own first token. */
  readonly own: number;
  /** Of it again for every request that waits there: so many are likely to wait behind this one. */
  readonly stall: number;
  /** Tokens for each request in the decoder's batch, with this one: a crowded batch is slower. */
  readonly crowding: number;
}

export const leastTimeWeights: LeastTimeWeights = Object.freeze({ own: 1, stall: 1, crowding: 100 });

/**
 * Predicted time by relative speed, in tokens of prefill of an engine of tensor-parallel size 1 (lowest wins):
 * prefiller `(Q + u·(1 + w)) / tp`, decoder `(Q + 100·(n + 1)) / tp`, where u = prompt tokens not cached there, Q = sum of u
 * over this router's requests there whose prompt is not computed yet, w = their number, n = this router's requests in
 * flight there, tp = tensor-parallel size. A decoder's Q is of requests that it answers alone. Found by simulation
 * (bench/pd). It reads no scraped number, so stale ones do not hurt.
 */
export const pdLeastTime = definePairScorer({
  kind: 'pair-scorer',
  type: 'scorer-pd-least-time',
  summary: 'Pairs by predicted time: prompt tokens queued and to be computed and crowded batches, by engine size.',
  readsHits: true,
  parameters: noParameters,
  create: (_parameters, { states }) => new LeastTime(states, leastTimeWeights),
});

export class LeastTime implements PairScorer {
  private readonly states: EndpointStates;
  private readonly weights: LeastTimeWeights;
  /** Whose size `sizes` holds, by slot; labels are read once an endpoint. */
  private readonly known: (Endpoint | undefined)[] = [];
  private readonly sizes: Float64Array;

  constructor(states: EndpointStates, weights: LeastTimeWeights) {
    this.states = states;
    this.weights = weights;
    this.sizes = new Float64Array(states.capacity);
  }

  score(_request: InferenceRequest, { prefills, prefillSizes, decodes, promptTokens }: Pairs, costs: PairCosts): void {
    const { queuedTokens, ownWaiting, inFlight } = this.states;
    const { own, stall, crowding } = this.weights;
    for (let i = 0; i < prefills.length; i++) {
      const slot = prefills.slots[i];
      const uncached = Math.max(0, promptTokens - prefills.cachedTokens[i]);
      costs.prefills.costs[i] = (queuedTokens[slot] + uncached * (own + stall * ownWaiting[slot])) / prefillSizes[i];
    }
    for (let i = 0; i < decodes.length; i++) {
      const slot = decodes.slots[i];
      costs.decodes.costs[i] =
        (queuedTokens[slot] + crowding * (inFlight[slot] + 1)) / this.sizeOf(decodes.endpoints[i]);
    }
  }

  private sizeOf(endpoint: Endpoint): number {
    const { slot } = endpoint;
    if (this.known[slot] !== endpoint) {
      this.known[slot] = endpoint;
      this.sizes[slot] = tpSizeOf(endpoint);
    }
    return this.sizes[slot];
  }
}
