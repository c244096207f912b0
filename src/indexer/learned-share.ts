/** A prediction that is wrong by no more than this share of the prompt is right: both sides count in blocks. */
const tolerance = 0.1;
const shrink = 0.95;
/** Growing back is ten times slower than shrinking: a hit that is not there costs a prefill, a hit forgone less. */
const growth = 1.005;
const least = 1 / 16;
const steps = 8;

/**
 * The share of an engine's KV cache that this router's prompts can count on. An engine that keeps having less of a
 * prompt cached than was predicted holds other things besides: answers, and what came by other ways.
 */
export class LearnedShare {
  private share = 1;
  /** vLLM says nothing where it had nothing cached, so silence means that only of those that have spoken. */
  private tells = false;

  /** In eighths, since a new share means rebuilding a book. */
  get value(): number {
    return Math.ceil(this.share * steps) / steps;
  }

  /** `predicted` and `cached` are shares of one prompt, 0..1: what was expected and what the engine said, if it did. */
  observe(predicted: number, cached: number | null): void {
    if (cached !== null) this.tells = true;
    else if (!this.tells) return;
    if (predicted - (cached ?? 0) > tolerance) this.share = Math.max(least, this.share * shrink);
    else if (predicted > tolerance) this.share = Math.min(1, this.share * growth);
  }
}
