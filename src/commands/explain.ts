import { readFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { errorText } from '../observability/log.ts';
import { adminUrl, askAdmin, type AdminAnswer } from './admin-client.ts';
import type { ToldDecision } from './explain-source.ts';
import { explanationLines } from './explain-table.ts';
import { readFlags, type FlagValues } from './flags.ts';
import { Exit, UsageError, type CommandIo } from './io.ts';
import { OutsideError } from './listen.ts';

const defaults = {
  admin: '127.0.0.1:8081',
  'admin-token-file': '',
  policy: '',
  request: '',
  path: '',
  output: 'table',
  help: false,
} as const;

export const explainUsage = `usage: hermes-router explain [flags]

Tells why requests went where they went: for each policy its last decision, or, with --request, what would
become of a request now. Nothing is sent to an engine, and a hypothetical request changes nothing.

  --admin http://HOST:PORT    admin API of the router (http://${defaults.admin})
  --admin-token-file FILE     its bearer token
  --policy NAMESPACE/NAME     only this policy; with --request: ask this one, whichever would take the request
  --request FILE              an OpenAI request body; - reads it from standard input
  --path PATH                 where the request would be sent (/v1/chat/completions)
  -o, --output FORMAT         table or json

A line for each endpoint: * is the one that was picked, CACHED how many prompt tokens it is thought to have in its
KV cache, A, B … the values of the scorers named below the table. An endpoint that was no candidate says why not.
Of many decisions in quick succession one in 200 ms is explained.

Exit codes: 0 fine, 1 the request or the policy is at fault, 2 wrong usage, 3 the router cannot be reached.`;

type Flags = FlagValues<typeof defaults>;

/** What the router's other servers say of a path that they do not have. */
const nothingHere = 'nothing is served at this path';

/** Columns of an output that is no terminal. */
const plainWidth = 120;

const short: Readonly<Record<string, string>> = { '-o': '--output', '-h': '--help' };

/** `hermes-router explain`. Resolves to the exit code. */
export async function runExplain(argv: readonly string[], io: CommandIo): Promise<number> {
  const flags = readFlags(
    argv.map((word) => short[word] ?? word),
    defaults,
    process.env,
  );
  if (flags.help) {
    io.out(explainUsage);
    return Exit.fine;
  }
  if (flags.output !== 'table' && flags.output !== 'json')
    throw new UsageError(`--output ${flags.output}: write table or json`);
  if (flags.path !== '' && flags.request === '') throw new UsageError('--path goes with --request');
  const body = flags.request === '' ? undefined : await readRequest(flags.request, io);
  if (body === null) return Exit.badInput;
  const answer = await askAdmin(adminUrl(flags.admin), {
    path: questionPath(flags),
    ...(flags['admin-token-file'] === '' ? {} : { token: readToken(flags['admin-token-file']) }),
    ...(body === undefined ? {} : { body }),
  });
  return tell(answer, flags, io);
}

function questionPath({ policy, path }: Flags): string {
  const query = new URLSearchParams();
  if (policy !== '') query.set('policy', policy);
  if (path !== '') query.set('path', path);
  return `/api/v1/explain${query.size === 0 ? '' : `?${query.toString()}`}`;
}

/** Null, with a word why, where the file cannot be read. */
async function readRequest(file: string, io: CommandIo): Promise<Buffer | null> {
  try {
    return file === '-' ? await buffer(process.stdin) : readFileSync(file);
  } catch (error) {
    io.err(`hermes-router explain: --request ${file} cannot be read: ${errorText(error)}`);
    return null;
  }
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new OutsideError(`--admin-token-file ${file} cannot be read: ${errorText(error)}`);
  }
}

function tell({ status, text }: AdminAnswer, flags: Flags, io: CommandIo): number {
  const answer = parse(text);
  if (status !== 200) {
    io.err(`hermes-router explain: ${refusal(status, messageOf(answer), flags)}`);
    return Exit.badInput;
  }
  const decisions = decisionsOf(answer);
  if (decisions === null) throw new OutsideError(`what answers at ${flags.admin} is no admin API of this version`);
  if (flags.output === 'json') io.out(JSON.stringify(answer, null, 2));
  else for (const line of asTables(decisions)) io.out(line);
  if (decisions.length === 0) io.err('no request has been decided yet; send one, or give --request');
  return Exit.fine;
}

/** Why the question was at fault. Throws OutsideError where it was not. */
function refusal(status: number, message: string | null, { admin }: Flags): string {
  if (message === nothingHere)
    throw new OutsideError(`${admin} is not the admin API; name the address that serve has for --admin`);
  if (status >= 500 || message === null)
    throw new OutsideError(`the admin API answered ${status}: ${message ?? 'and did not say why; is it a router?'}`);
  return status === 401 ? `${message}; give --admin-token-file` : message;
}

function asTables(decisions: readonly ToldDecision[]): string[] {
  const width = process.stdout.columns ?? plainWidth;
  return decisions.flatMap((decision, i) => [...(i === 0 ? [] : ['']), ...explanationLines(decision, width)]);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // An answer that is no JSON says nothing that we could pass on.
    return null;
  }
}

function messageOf(answer: unknown): string | null {
  const error = isObject(answer) ? answer.error : null;
  return isObject(error) && typeof error.message === 'string' ? error.message : null;
}

function decisionsOf(answer: unknown): readonly ToldDecision[] | null {
  const decisions: unknown = isObject(answer) ? answer.decisions : null;
  return Array.isArray(decisions) && decisions.every(isDecision) ? decisions : null;
}

function isDecision(value: unknown): value is ToldDecision {
  return isObject(value) && typeof value.policy === 'string' && Array.isArray(value.endpoints) && 'picked' in value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
