import type { FleetOptions, GroupShape } from './fleet.ts';
import { serviceModelFor } from './speed.ts';
import { longAnswers, meanOutput, meanPrompt, mixed, prefixHeavy, type Mix } from './workload.ts';

/** Engines and what is asked of them. */
export interface Scenario {
  readonly name: string;
  readonly groups: readonly GroupShape[];
  readonly mix: Mix;
}

/** Groups of so many prefillers and decoders, all of a group of one size. */
const groupsOf = (prefillers: number, decoders: number, sizes: readonly number[]): GroupShape[] =>
  sizes.map((tpSize) => ({
    prefill: Array<number>(prefillers).fill(tpSize),
    decode: Array<number>(decoders).fill(tpSize),
  }));

export const scenarios: readonly Scenario[] = [
  { name: '1P1D, TP 1 1 4 4', groups: groupsOf(1, 1, [1, 1, 4, 4]), mix: mixed },
  { name: '1P1D, TP 1 2 4 8', groups: groupsOf(1, 1, [1, 2, 4, 8]), mix: mixed },
  { name: '2P1D, TP 1 2 4', groups: groupsOf(2, 1, [1, 2, 4]), mix: mixed },
  { name: '1P3D, TP 1 2 4', groups: groupsOf(1, 3, [1, 2, 4]), mix: longAnswers },
  {
    name: '2P1D and 1P2D, TP mixed within groups',
    groups: [
      { prefill: [1, 4], decode: [4] },
      { prefill: [4], decode: [1, 1] },
      { prefill: [2, 2], decode: [2] },
    ],
    mix: mixed,
  },
  { name: '1P1D, TP 1 1 4 4', groups: groupsOf(1, 1, [1, 1, 4, 4]), mix: prefixHeavy },
  { name: '1P1D, TP 2 2 2 2', groups: groupsOf(1, 1, [2, 2, 2, 2]), mix: mixed },
];

/**
 * Requests a second at which random pairs keep the first engine busy to the full, its caches left out: by prefill, or
 * by decoding in full batches.
 */
export function randomLimit({ groups, mix }: Scenario): number {
  const prompt = meanPrompt(mix);
  const output = meanOutput(mix);
  const limits = groups.map(({ prefill, decode }) => {
    const slowestPrefill = Math.min(...prefill.map((tpSize) => serviceModelFor(tpSize).prefillRate));
    const slowestDecode = Math.min(...decode.map(fullDecodeRate));
    return Math.min((prefill.length * slowestPrefill) / prompt, (decode.length * slowestDecode) / output);
  });
  return Math.min(...limits) * groups.length;
}

/** Tokens a second of a full batch. */
function fullDecodeRate(tpSize: number): number {
  const { maxRunning, interTokenBase, interTokenPerRequest } = serviceModelFor(tpSize);
  return maxRunning / (interTokenBase + interTokenPerRequest * maxRunning);
}

/** What is not as it should be, and who hands over. */
export interface Condition {
  readonly name: string;
  readonly options: FleetOptions;
}

const others: Readonly<Record<number, number>> = { 1: 4, 2: 8, 4: 1, 8: 2 };
const inFourthGroup =
  (slow: string) =>
  (group: number, role: string): number =>
    group === 3 && role === slow ? 8 : 1;

/** For the first scenario, whose last group has size 4. */
export const conditions: readonly Condition[] = [
  { name: 'as it should be', options: {} },
  { name: 'a leader hands over', options: { handover: 'Leader' } },
  { name: 'scraped every 10 s', options: { scrapeEvery: 10 } },
  { name: 'two routers that know nothing of each other', options: { routers: 2 } },
  { name: 'no sizes in the labels', options: { faults: { label: () => null } } },
  { name: 'sizes 1 and 4 swapped in the labels', options: { faults: { label: (size) => String(others[size]) } } },
  { name: 'a prefiller of size 4 is 8 times slower', options: { faults: { slowdown: inFourthGroup('prefill') } } },
  { name: 'a decoder of size 4 is 8 times slower', options: { faults: { slowdown: inFourthGroup('decode') } } },
];
