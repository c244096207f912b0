/**
 * Shares of a capacity among those who ask for some of it: nobody gets more than asked, and what one leaves is shared
 * among the others, so that nobody who asks for more gets less than one who asks for less (max-min fairness). All get
 * what they ask for while it is enough.
 */
export function fairShares<K>(demands: ReadonlyMap<K, number>, capacity: number): Map<K, number> {
  const ascending = [...demands].sort((a, b) => a[1] - b[1]);
  const shares = new Map<K, number>();
  let left = capacity;
  for (const [i, [key, demand]] of ascending.entries()) {
    const share = Math.min(demand, left / (ascending.length - i));
    shares.set(key, share);
    left -= share;
  }
  return shares;
}

/** Sums by namespace. */
export function byNamespace<T extends { readonly namespace: string }>(
  items: readonly T[],
  amount: (item: T) => number,
): Map<string, number> {
  const sums = new Map<string, number>();
  for (const item of items) sums.set(item.namespace, (sums.get(item.namespace) ?? 0) + amount(item));
  return sums;
}
