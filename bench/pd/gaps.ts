const perOctave = 16;
const smallest = 0.0005;

/** A histogram of times between tokens, exact to 4 %. */
export class Gaps {
  private readonly counts = new Float64Array(20 * perOctave);
  private total = 0;

  add(seconds: number): void {
    const at = Math.floor(Math.log2(Math.max(seconds, smallest) / smallest) * perOctave);
    this.counts[Math.min(at, this.counts.length - 1)] += 1;
    this.total += 1;
  }

  /** Seconds that this share (0..1) of the gaps does not exceed; NaN for none. */
  quantile(share: number): number {
    let left = share * this.total;
    for (let at = 0; at < this.counts.length; at++) {
      left -= this.counts[at];
      if (left < 0) return smallest * 2 ** ((at + 0.5) / perOctave);
    }
    return NaN;
  }
}
