/** Turns counts into gains, in place: 1 for the least, 0 for the most, in proportion between; 1 where all are alike. */
export function toGains(counts: Float64Array, length: number): void {
  let least = Infinity;
  let most = -Infinity;
  for (let i = 0; i < length; i++) {
    least = Math.min(least, counts[i]);
    most = Math.max(most, counts[i]);
  }
  for (let i = 0; i < length; i++) counts[i] = most === least ? 1 : (most - counts[i]) / (most - least);
}
