import { parseArgs } from 'node:util';
import type { LeastTimeWeights } from '../../src/policies/pair-scorers/least-time.ts';
import { mean } from '../../src/sim/statistics.ts';
import { contenders, ours, random } from './contenders.ts';
import { chipsOf } from './fleet.ts';
import { gapBound, high, loads, type Figures, type Job, type Result } from './measure.ts';
import { conditions, randomLimit, scenarios } from './scenarios.ts';
import { measureAll } from './threads.ts';

// What it is worth how pairs are chosen; the README says how to read the tables.
const { values: flags } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const { quick } = flags;
const requests = quick ? 300 : 700;
const seedsOf = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);
const seeds = seedsOf(quick ? 2 : 5);
const fewSeeds = seedsOf(quick ? 1 : 2);
/** Scenarios of the tables of variants. */
const few = quick ? [0] : [0, 3, 5];

/** The same with each seed. */
interface Cell {
  readonly jobs: readonly Job[];
  results: readonly Result[];
}

type What = Omit<Job, 'seed' | 'requests'>;

const cells: Cell[] = [];
/** Tables are laid out first and filled when all is measured. */
const tables: (() => string)[] = [];

function cell(what: What, over: readonly number[]): Cell {
  const made: Cell = { jobs: over.map((seed) => ({ ...what, seed, requests })), results: [] };
  cells.push(made);
  return made;
}

const row = (texts: readonly string[]): string => `| ${texts.join(' | ')} |\n`;
const head = (texts: readonly string[]): string => `${row(texts)}|${'---|'.repeat(texts.length)}\n`;
const titleOf = (place: number): string => `${scenarios[place].name}; ${scenarios[place].mix.name}`;

function ratioOf({ results }: Cell): string {
  const ratios = results.map(({ ratio }) => ratio);
  return `${mean(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`;
}

const meanAt = ({ results }: Cell, place: number, of: (figures: Figures) => number): number =>
  mean(results.map(({ at }) => of(at[place])));

function firstTokens(figures: Cell, place: number): string {
  const [p50, p90] = [meanAt(figures, place, (at) => at.p50), meanAt(figures, place, (at) => at.p90)];
  return `${p50.toFixed(3)} / ${p90.toFixed(2)}`;
}

function gaps(figures: Cell, place: number): string {
  const [p90, p99] = [meanAt(figures, place, (at) => at.gap90), meanAt(figures, place, (at) => at.gap99)];
  return `${(1000 * p90).toFixed(0)} / ${(1000 * p99).toFixed(0)}`;
}

function layOutScenario(scenario: number): void {
  const { groups } = scenarios[scenario];
  const at = loads.map((_, place) => place);
  const rates = loads.map((load) => `${(load * randomLimit(scenarios[scenario])).toFixed(1)}/s`);
  const found = contenders.map(({ name }) => ({ name, figures: cell({ scenario, contender: name, at }, seeds) }));
  tables.push(() => {
    const columns = [...rates.map((rate) => `TTFT at ${rate}`), `between tokens at ${rates[high]}`];
    const rows = found.map(({ name, figures }) =>
      row([name, ratioOf(figures), ...at.map((place) => firstTokens(figures, place)), gaps(figures, high)]),
    );
    return `### ${titleOf(scenario)}; ${chipsOf(groups)} chips\n\n${head(['', 'requests/s', ...columns])}${rows.join('')}`;
  });
}

function layOutVariants(
  title: string,
  places: readonly number[],
  variants: readonly (readonly [string, Variant])[],
): void {
  const found = variants.map(([name, variant]) => ({
    name,
    by: places.map((scenario) => cell({ at: [], ...variant, scenario }, fewSeeds)),
  }));
  tables.push(() => {
    const shown = (figures: Cell): string =>
      figures.jobs[0].at.length === 0 ? ratioOf(figures) : `${ratioOf(figures)}; ${gaps(figures, 0)}`;
    const rows = found.map(({ name, by }) => row([name, ...by.map(shown)]));
    return `### ${title}\n\n${head(['', ...places.map(titleOf)])}${rows.join('')}`;
  });
}

type Variant = Omit<What, 'scenario' | 'at'> & Partial<Pick<What, 'at'>>;

scenarios.forEach((_, place) => {
  layOutScenario(place);
});
const weights: Partial<LeastTimeWeights>[] = [
  {},
  ...[0.5, 2, 4].map((own) => ({ own })),
  ...[0, 0.5, 2, 4].map((stall) => ({ stall })),
  ...[0, 25, 400, 1_600].map((crowding) => ({ crowding })),
];
layOutVariants(
  'Other weights',
  few,
  weights.map((each) => [Object.entries(each).flat().join(' ') || 'as it is', { contender: ours.name, weights: each }]),
);
layOutVariants(
  `Disaggregating only above so many uncached tokens; between tokens at the high load`,
  few,
  [-1, 128, 256, 512, 1_024, 2_048, 4_096].map((disaggregateAbove) => [
    disaggregateAbove < 0 ? 'always' : `${disaggregateAbove}`,
    { contender: ours.name, disaggregateAbove, at: [high] },
  ]),
);
for (const { name } of contenders.slice(1, 4)) {
  layOutVariants(
    `${name} when something is not as it should be`,
    [0],
    conditions.map((condition, place) => [condition.name, { contender: name, condition: place }]),
  );
}

const started = performance.now();
const jobs = cells.flatMap((each) => each.jobs);
const results = await measureAll(jobs);
let at = 0;
for (const each of cells) {
  each.results = results.slice(at, at + each.jobs.length);
  at += each.jobs.length;
}
console.log(
  `${requests} requests a run; requests/s relative to ${random.name} at equal p90 of TTFT, mean (least–most) over`,
);
console.log(
  `the seeds, with p90 between tokens of at most ${1000 * gapBound} ms. TTFT p50 / p90 in s, between tokens p90 / p99 in ms.\n`,
);
for (const table of tables) console.log(table());
console.log(`${jobs.length} jobs in ${((performance.now() - started) / 1000).toFixed(0)} s`);
