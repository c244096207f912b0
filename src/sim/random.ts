/** Uniform in [0, 2^32). */
export type Random = () => number;

/** Marsaglia's xorshift with an additive sequence (mulberry32): the same seed gives the same numbers everywhere. */
export function createRandom(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
}

/** Chance that is the same in every run: uniform in [0, 1). */
export function seeded(seed: number): () => number {
  const random = createRandom(seed);
  return () => random() / 2 ** 32;
}

/** Fisher and Yates; in place. */
export function shuffle<T>(items: T[], random: Random): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random() % (i + 1);
    const kept = items[i];
    items[i] = items[j];
    items[j] = kept;
  }
  return items;
}

const letters = Buffer.from('abcdefghijklmnopqrstuvwxyzaeioun');

/** ASCII text of so many tokens: words of three letters and a space, four bytes each. */
export function randomText(seed: number, tokens: number): string {
  const random = createRandom(seed);
  const bytes = Buffer.alloc(tokens * 4, ' ');
  for (let at = 0; at < bytes.length; at += 4) {
    const word = random();
    bytes[at] = letters[word & 31];
    bytes[at + 1] = letters[(word >>> 5) & 31];
    bytes[at + 2] = letters[(word >>> 10) & 31];
  }
  return bytes.toString('latin1');
}
