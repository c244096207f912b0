import { parseArgs } from 'node:util';
import { parseDuration } from '../api/duration.ts';
import { UsageError } from './io.ts';

/** Flags of a command with their defaults; a boolean's default is false. */
export type FlagDefaults = Readonly<Record<string, string | false>>;

/** Flags of every command that takes resources: where they come from, and which of them. */
export const sourceDefaults = {
  manifests: '',
  config: '',
  kubeconfig: '',
  namespaces: '',
  'all-namespaces': false,
  'allow-external-targets': false,
  'router-class': 'hermes',
} as const;

/** Flag values as text, or true where a boolean was given. */
export type FlagValues<D extends FlagDefaults> = { readonly [K in keyof D]: D[K] extends false ? boolean : string };

const sizeUnits: Readonly<Record<string, number>> = { '': 1, Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3 };

/**
 * Reads `--flag value` from the command line, else from the environment twin (`--max-body`: HERMES_MAX_BODY), else
 * the default. Throws UsageError for what it does not know.
 */
export function readFlags<D extends FlagDefaults>(
  argv: readonly string[],
  defaults: D,
  env: NodeJS.ProcessEnv,
): FlagValues<D> {
  const options = Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => [
      name,
      { type: value === false ? ('boolean' as const) : ('string' as const) },
    ]),
  );
  let values: Record<string, unknown>;
  try {
    values = parseArgs({ args: [...argv], options, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const read = Object.entries(defaults).map(([name, fallback]) => {
    const twin = env[`HERMES_${name.toUpperCase().replaceAll('-', '_')}`];
    if (fallback === false) return [name, values[name] === true || twin === 'true'];
    return [name, values[name] ?? twin ?? fallback];
  });
  return Object.fromEntries(read) as FlagValues<D>;
}

/** Throws UsageError where one of the flags `names` is given, none of which means anything beside the flag `beside`. */
export function refuseBeside<D extends FlagDefaults>(
  beside: string,
  names: readonly (keyof D & string)[],
  values: FlagValues<D>,
  defaults: D,
): void {
  const given = names.filter((name) => values[name] !== defaults[name]).map((name) => `--${name}`);
  if (given.length > 0) throw new UsageError(`${given.join(', ')}: without effect beside --${beside}; leave it out`);
}

/** The items of `A,B`. */
export function listFlag(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** Milliseconds. */
export function durationFlag(name: string, text: string): number {
  try {
    return parseDuration(text);
  } catch {
    throw new UsageError(`--${name} ${text}: write a duration like 5s or 1m30s`);
  }
}

/** Bytes: a number, or one with Ki, Mi or Gi. */
export function sizeFlag(name: string, text: string): number {
  const found = /^([0-9]{1,12})(Ki|Mi|Gi)?$/.exec(text);
  if (found === null) throw new UsageError(`--${name} ${text}: write bytes, or a number with Ki, Mi or Gi`);
  return Number(found[1]) * sizeUnits[found[2] ?? ''];
}

export function countFlag(name: string, text: string): number {
  if (!/^[0-9]{1,9}$/.test(text)) throw new UsageError(`--${name} ${text}: write a whole number`);
  return Number(text);
}

/** An address to listen on. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, `[v6]:port` or `:port` (every address). */
export function listenFlag(name: string, text: string): ListenAddress {
  const found = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):([0-9]{1,5})$/.exec(text);
  if (found === null || Number(found[3]) > 65535)
    throw new UsageError(`--${name} ${text}: write host:port, such as 127.0.0.1:8000`);
  const host = found[1] ?? found[2];
  return { host: host === '' ? '0.0.0.0' : host, port: Number(found[3]) };
}

/** How long a process drains, in milliseconds, as its flags say. Throws UsageError. */
export function drainTimes(flags: { readonly 'drain-delay': string; readonly 'drain-timeout': string }) {
  return {
    delay: durationFlag('drain-delay', flags['drain-delay']),
    timeout: durationFlag('drain-timeout', flags['drain-timeout']),
  };
}

/** What a front door holds of bodies at most, in bytes, as its flags say. Throws UsageError. */
export function bodyLimits(flags: { readonly 'max-body': string; readonly 'max-buffered': string }) {
  return {
    maxBody: sizeFlag('max-body', flags['max-body']),
    maxBuffered: sizeFlag('max-buffered', flags['max-buffered']),
  };
}
