import { createRandom, seeded } from '../../src/sim/random.ts';

/** One request of a workload. */
export interface Arrival {
  /** Arrival in a process of one request a second; divided by the rate that is wanted. */
  readonly at: number;
  readonly prompt: Uint32Array;
  readonly maxOutput: number;
}

/** A range of lengths in tokens, drawn with equal chance for equal ratios. */
type Range = readonly [from: number, to: number];

/** Of all requests, `share` have prompts of this kind. */
interface Kind {
  readonly share: number;
  /** Tokens of the prompt that no other request has. */
  readonly own: Range;
  /** Shared beginnings: how many there are, how long they are, and what share of this kind begins so. */
  readonly prefixes?: { readonly count: number; readonly tokens: number; readonly share: number };
}

export interface Mix {
  readonly name: string;
  readonly title: string;
  readonly kinds: readonly Kind[];
  readonly output: Range;
}

export const mixed: Mix = {
  name: 'mixed',
  title:
    '70 % of prompts 100–500 tokens, 30 % 4k–16k, a fifth of those begin with one of 24 texts of 3k; answers of 50–400',
  kinds: [
    { share: 0.7, own: [100, 500] },
    { share: 0.24, own: [4_000, 16_000] },
    { share: 0.06, own: [1_000, 13_000], prefixes: { count: 24, tokens: 3_008, share: 1 } },
  ],
  output: [50, 400],
};

export const prefixHeavy: Mix = {
  name: 'prefix-heavy',
  title:
    '80 % of prompts: one of 48 system prompts of 6k tokens and 100–500 of their own, 20 % 1k–8k; answers of 50–400',
  kinds: [
    { share: 0.8, own: [100, 500], prefixes: { count: 48, tokens: 6_016, share: 1 } },
    { share: 0.2, own: [1_000, 8_000] },
  ],
  output: [50, 400],
};

export const longAnswers: Mix = {
  name: 'long-answers',
  title: '90 % of prompts 100–500 tokens, 10 % 2k–8k; answers of 200–1,600',
  kinds: [
    { share: 0.9, own: [100, 500] },
    { share: 0.1, own: [2_000, 8_000] },
  ],
  output: [200, 1_600],
};

/** The same seed gives the same requests at the same relative times, whatever the rate and the policy. */
export function arrivals({ kinds, output }: Mix, count: number, seed: number): Arrival[] {
  const random = seeded(seed);
  let at = 0;
  return Array.from({ length: count }, (_, i) => {
    at -= Math.log(1 - random());
    const kind = drawn(kinds, random());
    const { prefixes } = kind;
    const place = random();
    const shared = prefixes !== undefined && random() < prefixes.share ? prefixes : null;
    const own = within(kind.own, random());
    const prompt = new Uint32Array((shared?.tokens ?? 0) + own);
    if (shared !== null) fill(prompt.subarray(0, shared.tokens), 1_000 + Math.floor(place * shared.count));
    fill(prompt.subarray(prompt.length - own), mixSeed(seed, i));
    return { at, prompt, maxOutput: within(output, random()) };
  });
}

/** Mean tokens of a prompt, shared ones included. */
export function meanPrompt(mix: Mix): number {
  return mix.kinds.reduce((sum, { share, own, prefixes }) => {
    return sum + share * (mean(own) + (prefixes === undefined ? 0 : prefixes.share * prefixes.tokens));
  }, 0);
}

/** Mean tokens of an answer. */
export const meanOutput = ({ output }: Mix): number => mean(output);

const mean = ([from, to]: Range): number => (from === to ? from : (to - from) / Math.log(to / from));

const within = ([from, to]: Range, share: number): number => Math.round(from * (to / from) ** share);

function drawn(kinds: readonly Kind[], point: number): Kind {
  let left = point;
  for (const kind of kinds) {
    left -= kind.share;
    if (left < 0) return kind;
  }
  return kinds[kinds.length - 1];
}

const mixSeed = (seed: number, i: number): number => Math.imul(seed, 0x9e3779b1) ^ Math.imul(i + 1, 0x85ebca6b);

function fill(tokens: Uint32Array, seed: number): void {
  const random = createRandom(seed);
  for (let i = 0; i < tokens.length; i++) tokens[i] = random() >>> 15;
}
