import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { defineScorer } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** How much the request's own prefill weighs: it uses capacity that others need. */
const ownPrefill = 4;
/** How much of it again for every request in flight there, which it stalls. */
const stall = 0.5;
/** Tokens of cost for each request in flight: a crowded decode batch is slower. */
const crowding = 400;

/**
 * `cost = Q + u·(4 + n/2) + 400·n`, in tokens: u = prompt tokens not cached there, Q = sum of u over this router's
 * requests there without a first byte, n = this router's requests in flight there. Found by simulation
 * (docs/design/0003-auto.md). It reads no scraped number, so stale ones do not hurt.
 */
export const auto = defineScorer({
  kind: 'scorer',
  type: 'scorer-auto',
  summary: 'Estimated cost in tokens of placing the request there: queue, own prefill, the stall it causes, crowding.',
  direction: 'cost',
  readsHits: true,
  parameters: noParameters,
  create: (_parameters, { states }) => ({
    score(_request: InferenceRequest, candidates: Candidates, out: Float64Array): void {
      const { slots, cachedTokens, promptTokens } = candidates;
      for (let i = 0; i < candidates.length; i++) {
        const slot = slots[i];
        const uncached = Math.max(0, promptTokens - cachedTokens[i]);
        const inFlight = states.inFlight[slot];
        out[i] = states.queuedTokens[slot] + uncached * (ownPrefill + stall * inFlight) + crowding * inFlight;
      }
    },
  }),
});
