import { mean } from './statistics.ts';
import type { PlayResult } from './player.ts';

/** One workload under one strategy with one seed. */
export interface DemoRun {
  readonly workload: string;
  readonly title: string;
  readonly strategy: string;
  readonly seed: number;
  /** How late the engines' tokens came out, as a share of the requests' time. */
  readonly lagPercent: number;
  readonly result: PlayResult;
}

/** The strategy that gains are measured against. */
export const baseline = 'Random';

const columns = ['strategy', 'TTFT mean', 'p50', 'p90', 'tokens/s', 'hits', 'mean', 'p50', 'p90'] as const;
const widths = [10, 10, 9, 9, 9, 7, 8, 8, 8] as const;

/** A table for each workload, times in seconds of engine time, means over the seeds; the last columns are gains. */
export function reportLines(runs: readonly DemoRun[]): string[] {
  const lines: string[] = [];
  for (const title of new Set(runs.map((run) => run.title))) {
    const ofTitle = runs.filter((run) => run.title === title);
    const base = ofTitle.filter(({ strategy }) => strategy === baseline);
    lines.push('', title, `${row(columns)}  (against ${baseline})`);
    for (const strategy of new Set(ofTitle.map((run) => run.strategy))) {
      const mine = ofTitle.filter((run) => run.strategy === strategy);
      lines.push(row([strategy, ...figures(mine), ...gains(mine, base)]));
    }
  }
  return lines;
}

type Figure = (result: PlayResult) => number;

const timeFigures: readonly Figure[] = [
  ({ firstToken }) => firstToken.mean,
  ({ firstToken }) => firstToken.p50,
  ({ firstToken }) => firstToken.p90,
];

function average(runs: readonly DemoRun[], figure: Figure): number {
  return mean(runs.map(({ result }) => figure(result)));
}

function figures(runs: readonly DemoRun[]): string[] {
  const times = timeFigures.map((figure) => `${average(runs, figure).toFixed(3)} s`);
  const hits = average(runs, ({ hitRate }) => hitRate);
  return [...times, average(runs, ({ tokensPerSecond }) => tokensPerSecond).toFixed(0), `${(100 * hits).toFixed(0)} %`];
}

function gains(runs: readonly DemoRun[], base: readonly DemoRun[]): string[] {
  if (base.length === 0 || runs === base || runs[0].strategy === baseline) return ['', '', ''];
  return timeFigures.map((figure) => {
    const percent = 100 * (average(runs, figure) / average(base, figure) - 1);
    return `${percent > 0 ? '+' : ''}${percent.toFixed(0)} %`;
  });
}

function row(cells: readonly string[]): string {
  return cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' ');
}
