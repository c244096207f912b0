/** A Prometheus histogram; `bounds` are upper bounds in ascending order. */
export class Histogram {
  private readonly bounds: readonly number[];
  private readonly counts: number[];
  private sum = 0;
  private count = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    this.sum += value;
    this.count += 1;
    const at = this.bounds.findIndex((bound) => value <= bound);
    if (at >= 0) this.counts[at] += 1;
  }

  /** Sample lines; `labels` stand before and after `le`, in the order of the alphabet. */
  lines(name: string, before: string, after: string): string {
    let text = '';
    let below = 0;
    this.bounds.forEach((bound, i) => {
      below += this.counts[i];
      const le = Number.isInteger(bound) ? bound.toFixed(1) : String(bound);
      text += `${name}_bucket{${before},le="${le}",${after}} ${below}\n`;
    });
    text += `${name}_bucket{${before},le="+Inf",${after}} ${this.count}\n`;
    return `${text}${name}_count{${before},${after}} ${this.count}\n${name}_sum{${before},${after}} ${this.sum}\n`;
  }
}

/** The bounds, in seconds, that vLLM uses for the time to the first token. */
export const firstTokenBounds: readonly number[] = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
];
