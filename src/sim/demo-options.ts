import { parseArgs } from 'node:util';
import { UsageError } from './command-io.ts';

export const demoHelp = `Usage: hermes-router demo [flags]

Starts eight simulated engines, routes the same workloads over them by Random, KVAware and Auto, and compares.

  --workload NAME   shared-prompts, conversations or trace; may be repeated (default: all)
  --seeds N         runs of each, with seeds 1 to N (default 1)
  --speed-up N      engine seconds in one second of wall time (default 15)
  --json            print the results as JSON and end
  --help            this text

DEMO_ONCE=1 ends it after the table.`;

/** What a demo run is to do. */
export interface DemoOptions {
  readonly help: boolean;
  readonly workloads: readonly string[];
  readonly seeds: number;
  readonly speedUp: number;
  readonly json: boolean;
}

const usualSpeedUp = '15';

/** Reads a command line; `known` are the workloads there are. Throws UsageError. */
export function parseDemoFlags(argv: readonly string[], known: readonly string[]): DemoOptions {
  const flags = readFlags(argv);
  const names = flags.workload ?? known;
  for (const name of names)
    if (!known.includes(name)) throw new UsageError(`--workload must be one of ${known.join(', ')}, not "${name}"`);
  const seeds = Number(flags.seeds ?? '1');
  if (!Number.isSafeInteger(seeds) || seeds < 1) throw new UsageError(`--seeds must be a whole number above 0`);
  const speedUp = Number(flags['speed-up'] ?? usualSpeedUp);
  if (!(speedUp > 0 && speedUp < Infinity)) throw new UsageError(`--speed-up must be a number above 0`);
  return { help: flags.help === true, workloads: names, seeds, speedUp, json: flags.json === true };
}

function readFlags(argv: readonly string[]) {
  const options = {
    workload: { type: 'string', multiple: true },
    seeds: { type: 'string' },
    'speed-up': { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  } as const;
  try {
    return parseArgs({ args: [...argv], options }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
