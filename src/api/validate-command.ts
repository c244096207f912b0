import type { FileFault } from './documents.ts';
import { validateFiles } from './validate.ts';

/** Where a command writes, line by line. */
export interface CommandOutput {
  out(line: string): void;
  err(line: string): void;
}

const usage = `usage: hermes-router validate [--strict] PATH…

Checks the RoutingPolicies and BackendGroups in files and folders (.yaml, .yml, .json), offline, and configurations: of
v25.09 (files with \`app:\`), for serve --config, of cache-indexer (\`app.serviceDiscovery\`), for its own --config, and
EndpointPickerConfigs, for epp --config-file, also those in a values file of Helm.
One line for each fault: file:line: field: what is wrong; what to do

  --strict   a policy whose BackendGroup is not in the files is a fault, not a warning
  --help     show this

Exit codes: 0 no fault, 1 faults, 2 wrong usage`;

/** `hermes-router validate`: faults go to `out`, all else to `err`. Resolves to the exit code. */
export function runValidate(argv: readonly string[], io: CommandOutput): Promise<number> {
  if (argv.includes('--help') || argv.includes('-h')) {
    io.out(usage);
    return Promise.resolve(0);
  }
  const paths: string[] = [];
  let strict = false;
  let flagsEnded = false;
  for (const word of argv) {
    if (flagsEnded || !word.startsWith('-')) paths.push(word);
    else if (word === '--') flagsEnded = true;
    else if (word === '--strict') strict = true;
    else return misused(io, `unknown flag ${word}`);
  }
  return paths.length === 0 ? misused(io, 'no PATH given') : Promise.resolve(report(paths, strict, io));
}

function misused(io: CommandOutput, message: string): Promise<number> {
  io.err(`hermes-router validate: ${message}`);
  io.err(usage);
  return Promise.resolve(2);
}

function report(paths: readonly string[], strict: boolean, io: CommandOutput): number {
  const { faults, warnings, notes, files, resources, configs } = validateFiles(paths, { strict });
  for (const note of notes) io.err(`note: ${lineOf(note)}`);
  for (const warning of warnings) io.err(`warning: ${lineOf(warning)}`);
  for (const fault of faults) io.out(lineOf(fault));
  const count = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`;
  const found = [count(files, 'file'), count(resources, 'good resource'), count(faults.length, 'fault')];
  if (configs > 0) found.splice(2, 0, count(configs, 'good configuration'));
  io.err(found.join(', '));
  return faults.length === 0 ? 0 : 1;
}

function lineOf({ file, line, path, message, cure }: FileFault): string {
  const where = path === '' ? `${file}:${line}` : `${file}:${line}: ${path}`;
  return `${where}: ${message}; ${cure}`.replaceAll(/\s*\n\s*/g, ' ');
}
