/** Place of the lowest of the first `length` costs; one at random among equals. */
export function bestAtRandom(costs: Float64Array, length: number, random: () => number): number {
  let best = 0;
  let equals = 1;
  for (let i = 1; i < length; i++) {
    if (costs[i] > costs[best]) continue;
    if (costs[i] < costs[best]) {
      best = i;
      equals = 1;
      continue;
    }
    // Reservoir of one: the k-th equal replaces the pick with probability 1/k, so all are equally likely.
    equals += 1;
    if (random() * equals < 1) best = i;
  }
  return best;
}
