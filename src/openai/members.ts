import { Splice } from './splice.ts';

/** Byte range of a member's value in a JSON object, end exclusive. */
export interface ValueRange {
  readonly start: number;
  readonly end: number;
}

/** One member of a JSON object. */
export interface Member extends ValueRange {
  /** The key as it reads after unescaping. */
  readonly name: string;
  /** Whether the key is written with escapes. */
  readonly escaped: boolean;
  /** Where the key's opening quote is. */
  readonly keyStart: number;
}

/** What becomes of the top-level members of a name. */
export interface MemberEdit {
  readonly name: string;
  /** The key with its colon. */
  readonly key: Buffer;
  /** JSON, taken as it is; null takes the member out. */
  readonly value: Buffer | null;
}

const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const comma = 0x2c;
const colon = 0x3a;

const commaBytes = Buffer.from(',');

/** The top-level members of a text that has already been parsed as a JSON object. */
export function topLevelMembers(bytes: Buffer): Member[] {
  const found: Member[] = [];
  let at = skipSpace(bytes, bytes.indexOf(openBrace) + 1);
  while (at < bytes.length && bytes[at] === quote) {
    const keyStart = at;
    const keyEnd = endOfString(bytes, at);
    const key = bytes.toString('utf8', at, keyEnd);
    const escaped = key.includes('\\');
    const start = skipSpace(bytes, bytes.indexOf(colon, keyEnd) + 1);
    const end = endOfValue(bytes, start);
    found.push({ name: escaped ? String(JSON.parse(key)) : key.slice(1, -1), escaped, keyStart, start, end });
    at = skipSpace(bytes, end);
    if (bytes[at] !== comma) break;
    at = skipSpace(bytes, at + 1);
  }
  return found;
}

/** Gives a member the value, in place where it is there; `json` is taken as it is. */
export function setMember(name: string, json: string | Buffer): MemberEdit {
  const value = typeof json === 'string' ? Buffer.from(json) : json;
  return { name, key: Buffer.from(`${JSON.stringify(name)}:`), value };
}

/** Takes a member out. */
export function withoutMember(name: string): MemberEdit {
  return { name, key: Buffer.alloc(0), value: null };
}

/**
 * The object with some top-level members set or taken out, all others byte for byte as they are: re-serialising would
 * change numbers (9223372036854775807, 1.0) that engines rely on. Of a name that is there several times each is
 * changed, since readers differ in which one counts; one that is not there comes first. `members` are those of
 * `bytes`, an object that has already been parsed, and the names of `edits` differ from each other.
 */
export function withMembers(
  bytes: Buffer,
  edits: readonly MemberEdit[],
  members: readonly Member[] = topLevelMembers(bytes),
): Buffer {
  const splice = new Splice(bytes);
  const open = bytes.indexOf(openBrace) + 1;
  splice.keep(0, open);
  const kept = members.filter(({ name }) => editOf(edits, name)?.value !== null).length;
  addMissing(splice, edits, members, kept > 0);
  let isFirst = true;
  members.forEach(({ name, keyStart, start, end }, i) => {
    const edit = editOf(edits, name);
    if (edit?.value === null) return;
    // What stands between two members goes with the second, and is dropped with it.
    const gap = i === 0 ? open : members[i - 1].end;
    splice.keep(isFirst && i > 0 ? keyStart : gap, edit === undefined ? end : start);
    if (edit !== undefined) splice.add(edit.value);
    isFirst = false;
  });
  splice.keep(members.at(-1)?.end ?? open, bytes.length);
  return splice.whole();
}

/** Adds what is to be set and is not there; `isFollowed` where other members come after it. */
function addMissing(
  splice: Splice,
  edits: readonly MemberEdit[],
  members: readonly Member[],
  isFollowed: boolean,
): void {
  let isFirst = true;
  for (const { name, key, value } of edits) {
    if (value === null || members.some((member) => member.name === name)) continue;
    if (!isFirst) splice.add(commaBytes);
    splice.add(key);
    splice.add(value);
    isFirst = false;
  }
  if (isFollowed && !isFirst) splice.add(commaBytes);
}

function editOf(edits: readonly MemberEdit[], name: string): MemberEdit | undefined {
  for (const edit of edits) if (edit.name === name) return edit;
  return undefined;
}

/** The body with another model name; a body without a model gets one. */
export function withModel(bytes: Buffer, model: string): Buffer {
  return withMembers(bytes, [setMember('model', JSON.stringify(model))]);
}

function skipSpace(bytes: Buffer, from: number): number {
  let at = from;
  while (at < bytes.length && (bytes[at] === 0x20 || (bytes[at] >= 0x09 && bytes[at] <= 0x0d))) at += 1;
  return at;
}

/** Index after the closing quote of the string that opens at `from`. */
function endOfString(bytes: Buffer, from: number): number {
  let at = from + 1;
  for (;;) {
    const close = bytes.indexOf(quote, at);
    if (close < 0) return bytes.length;
    let slashes = 0;
    while (bytes[close - 1 - slashes] === backslash) slashes += 1;
    if (slashes % 2 === 0) return close + 1;
    at = close + 1;
  }
}

function endOfValue(bytes: Buffer, from: number): number {
  const first = bytes[from];
  if (first === quote) return endOfString(bytes, from);
  if (first === openBrace || first === openBracket) return endOfNested(bytes, from);
  let at = from;
  while (at < bytes.length && !isDelimiter(bytes[at])) at += 1;
  return at;
}

function endOfNested(bytes: Buffer, from: number): number {
  let depth = 0;
  let at = from;
  while (at < bytes.length) {
    const byte = bytes[at];
    if (byte === quote) {
      at = endOfString(bytes, at);
      continue;
    }
    if (byte === openBrace || byte === openBracket) depth += 1;
    if (byte === closeBrace || byte === closeBracket) depth -= 1;
    at += 1;
    if (depth === 0) return at;
  }
  return at;
}

function isDelimiter(byte: number): boolean {
  return byte === comma || byte === closeBrace || byte === closeBracket || byte <= 0x20;
}
