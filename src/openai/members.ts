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
}

const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const comma = 0x2c;
const colon = 0x3a;

/** The top-level members of a text that has already been parsed as a JSON object. */
export function topLevelMembers(bytes: Buffer): Member[] {
  const found: Member[] = [];
  let at = skipSpace(bytes, bytes.indexOf(openBrace) + 1);
  while (at < bytes.length && bytes[at] === quote) {
    const keyEnd = endOfString(bytes, at);
    const key = bytes.toString('utf8', at, keyEnd);
    const escaped = key.includes('\\');
    const start = skipSpace(bytes, bytes.indexOf(colon, keyEnd) + 1);
    const end = endOfValue(bytes, start);
    found.push({ name: escaped ? String(JSON.parse(key)) : key.slice(1, -1), escaped, start, end });
    at = skipSpace(bytes, end);
    if (bytes[at] !== comma) break;
    at = skipSpace(bytes, at + 1);
  }
  return found;
}

/**
 * The body with another model name: only the bytes of that value change, since re-serialising would change numbers
 * (9223372036854775807, 1.0) that engines rely on. A body without a model gets one.
 */
export function withModel(bytes: Buffer, model: string): Buffer {
  const value = Buffer.from(JSON.stringify(model));
  const range = topLevelMembers(bytes).findLast(({ name }) => name === 'model');
  if (range !== undefined) return Buffer.concat([bytes.subarray(0, range.start), value, bytes.subarray(range.end)]);
  const open = bytes.indexOf(openBrace) + 1;
  const empty = bytes[skipSpace(bytes, open)] === closeBrace;
  const member = [Buffer.from('"model":'), value, Buffer.from(empty ? '' : ',')];
  return Buffer.concat([bytes.subarray(0, open), ...member, bytes.subarray(open)]);
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
