// The tables of flags on the pages of docs/modes, made of what the commands themselves tell.
import { runValidate } from '../src/api/validate-command.ts';
import { defaults as indexerDefaults, usage as indexerUsage } from '../src/commands/cache-indexer/flags.ts';
import { defaults as pickerDefaults, usage as pickerUsage } from '../src/commands/epp/flags.ts';
import { explainUsage } from '../src/commands/explain.ts';
import type { FlagDefaults } from '../src/commands/flags.ts';
import { defaults as leaderDefaults, usage as leaderUsage } from '../src/commands/pd-proxy/flags.ts';
import { serveDefaults, serveUsage } from '../src/commands/serve-flags.ts';
import { engineHelp } from '../src/sim/engine-flags.ts';
import { withSection } from './sections.ts';

/** A command as its help tells of it. */
export interface Mode {
  readonly command: string;
  readonly usage: string;
  /** The table that the command reads its flags by, where it says more than the help. */
  readonly defaults?: FlagDefaults;
  /** Whether each flag has an environment twin. */
  readonly hasTwins: boolean;
}

export const modes: readonly Mode[] = [
  { command: 'serve', usage: serveUsage, defaults: serveDefaults, hasTwins: true },
  { command: 'epp', usage: pickerUsage, defaults: pickerDefaults, hasTwins: true },
  { command: 'pd-proxy', usage: leaderUsage, defaults: leaderDefaults, hasTwins: true },
  { command: 'cache-indexer', usage: indexerUsage, defaults: indexerDefaults, hasTwins: true },
  { command: 'sim-engine', usage: engineHelp, hasTwins: false },
  { command: 'explain', usage: explainUsage, hasTwins: true },
  { command: 'validate', usage: helpOf(runValidate), hasTwins: false },
];

function helpOf(
  run: (argv: readonly string[], io: { out(line: string): void; err(line: string): void }) => unknown,
): string {
  const lines: string[] = [];
  run(['--help'], { out: (line) => lines.push(line), err: (line) => lines.push(line) });
  return lines.join('\n');
}

/** A flag as it is written. */
export interface Flag {
  readonly name: string;
  /** What follows it, such as `HOST:PORT`; '' where it stands for itself. */
  readonly value: string;
}

/** A row of the table: flags that the help tells of together. */
export interface FlagRow {
  readonly flags: readonly Flag[];
  readonly meaning: string;
}

const line = /^ {2}(-\S.*?)(?: {2,}(\S.*))?$/;
const flagName = /--([a-z][a-z0-9-]*)/g;
const values = /^(?:, --[a-z-]+)* ([[A-Z][\w:=,./|[\]…]*[\w.\]]|[A-Z]|http:\/\/HOST:PORT)(?=[\s;,.)]|$)/;

const namesIn = (text: string): string[] => [...text.matchAll(flagName)].map(([, name]) => name);

/** The rows of a help text, in its order; a flag that is named only in what is said of another one comes behind that. */
export function flagsOf(usage: string): FlagRow[] {
  const entries: { head: string; text: string }[] = [];
  for (const written of usage.split('\n')) {
    const found = line.exec(written);
    const last = entries.at(-1);
    if (found !== null) entries.push({ head: found[1], text: found[2] ?? '' });
    else if (last !== undefined && /^ {20,}\S/.test(written)) last.text = `${last.text} ${written.trim()}`;
  }
  const headed = new Set(entries.flatMap(({ head }) => namesIn(head)));
  return entries.flatMap(({ head, text }) => {
    const names = namesIn(head);
    const beside = namesIn(text).filter((name) => !headed.has(name));
    return [
      { flags: names.map((name) => ({ name, value: valueOf(head, name) })), meaning: text },
      ...beside.map((name) => ({ flags: [{ name, value: valueOf(text, name) }], meaning: `see --${names[0]}` })),
    ];
  });
}

/** The word in capitals that stands behind the flag; of flags that share one, that of the last. */
const valueOf = (text: string, name: string): string =>
  values.exec(text.slice(text.indexOf(`--${name}`) + name.length + 2))?.[1] ?? '';

/** Environment twin of a flag. */
export const twinOf = (name: string): string => `HERMES_${name.toUpperCase().replaceAll('-', '_')}`;

/** The table of a command's flags. Throws where its help and the table that it reads them by differ. */
export function flagTable({ command, usage, defaults, hasTwins }: Mode): string {
  const rows = flagsOf(usage).filter(({ flags }) => flags.every(({ name }) => name !== 'help'));
  const told = rows.flatMap(({ flags }) => flags.map(({ name }) => name));
  const known = Object.keys(defaults ?? {}).filter((name) => name !== 'help');
  const odd = defaults === undefined ? [] : [...difference(known, told), ...difference(told, known)];
  if (odd.length > 0) throw new Error(`the help of ${command} and its flags differ in --${odd.join(', --')}`);
  const head = ['flag', ...(hasTwins ? ['environment'] : []), ...(defaults === undefined ? [] : ['default']), ''];
  const cells = rows.map(({ flags, meaning }) => [
    flags.map(({ name, value }) => `\`--${name}${value === '' ? '' : ` ${value}`}\``).join(', '),
    ...(hasTwins ? [flags.map(({ name }) => `\`${twinOf(name)}\``).join(', ')] : []),
    ...(defaults === undefined ? [] : [flags.map(({ name }) => defaultOf(defaults[name])).join(', ')]),
    asMarkdown(meaning),
  ]);
  return [head, head.map(() => '---'), ...cells].map((row) => `| ${row.map(escaped).join(' | ')} |`).join('\n');
}

const difference = (some: readonly string[], others: readonly string[]): string[] =>
  some.filter((name) => !others.includes(name));

const escaped = (cell: string): string => cell.replaceAll('|', '\\|');

/** What stands in a shell, a path or a file is code. */
const asMarkdown = (text: string): string =>
  text.replace(
    /(?<![\w`:/])((?:tcp|http):\/\/[\w.:]*\w|--[a-z][a-z-]*|~?\/[\w./…]*\w…?|\$[A-Z_]+|[A-Z_]{6,}=URL|[\w.]+\.\*)/g,
    '`$1`',
  );

const defaultOf = (value: string | false): string => (value === false || value === '' ? '' : `\`${value}\``);

/** The pages of docs/modes with their tables brought up to date, by path. */
export function modePages(): (readonly [path: string, text: string])[] {
  return modes.map((mode) => {
    const path = `docs/modes/${mode.command}.md`;
    return [path, withSection(path, 'flags', flagTable(mode))] as const;
  });
}
