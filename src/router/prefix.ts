import type { Candidates } from './candidates.ts';
import type { InferenceRequest } from './request.ts';

/** Who knows which engine holds which prefix in its KV cache. Synchronous: asked in the middle of a decision. */
export interface PrefixSource {
  /** Writes to `out` how many of the prompt's first tokens each candidate has cached (0 where unknown). */
  match(request: InferenceRequest, candidates: Candidates, out: Float64Array): void;
  /** The request has just been sent there: siblings that follow count its prefix as cached at once. */
  routed(request: InferenceRequest, slot: number): void;
  /**
   * The engine has told what a request cost it. `predicted` and `cached` are shares of the prompt, 0..1: what `match`
   * made of it, and what the engine says that it had cached; null where it says nothing of that.
   */
  answered(slot: number, predicted: number, cached: number | null): void;
  /** The engine behind the slot has restarted, or the slot has a new owner: nothing is cached there any more. */
  forget(slot: number): void;
}

/** A source for groups without KV awareness. */
export const noPrefixSource: PrefixSource = Object.freeze({
  match(_request: InferenceRequest, candidates: Candidates, out: Float64Array): void {
    out.fill(0, 0, candidates.length);
  },
  routed(): void {},
  answered(): void {},
  forget(): void {},
});
