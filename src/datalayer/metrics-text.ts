/** One line of a series. */
export interface Sample {
  /** What stands between the braces; empty without labels. */
  readonly labels: string;
  /** NaN where the text is no number. */
  readonly value: number;
}

/**
 * A few series to find in Prometheus text. Walks the line starts once, tells wanted lines by one character, and parses
 * only those: an engine's text has 60 KB of others. A name may be null: nothing is found for it.
 */
export class SeriesFinder {
  readonly names: readonly (string | null)[];
  /** The offset from a line's start at which the names differ most. */
  private readonly telling: number;
  /** Which names have a character (by code, ASCII) at that offset. */
  private readonly byChar: readonly (readonly number[])[];

  constructor(names: readonly (string | null)[]) {
    this.names = names;
    this.telling = tellingOffset(names.filter((name) => name !== null));
    this.byChar = Array.from({ length: 128 }, (_unused, code) =>
      names.flatMap((name, index) => (name?.charCodeAt(this.telling) === code ? [index] : [])),
    );
  }

  /** The samples of each name, in the order of the text. */
  find(text: string): readonly (readonly Sample[])[] {
    const found: Sample[][] = this.names.map(() => []);
    for (let at = 0; at >= 0 && at < text.length; at = nextLine(text, at)) {
      const code = text.charCodeAt(at + this.telling);
      // NaN past the end of the text compares false.
      if (code < 128 && this.byChar[code].length > 0) this.take(text, at, found);
    }
    return found;
  }

  private take(text: string, at: number, found: readonly Sample[][]): void {
    for (const index of this.byChar[text.charCodeAt(at + this.telling)]) {
      const name = this.names[index];
      if (name === null || !text.startsWith(name, at)) continue;
      const newline = text.indexOf('\n', at);
      const sample = readSample(text, at + name.length, newline < 0 ? text.length : newline);
      if (sample !== null) found[index].push(sample);
    }
  }
}

function nextLine(text: string, at: number): number {
  const newline = text.indexOf('\n', at);
  return newline < 0 ? -1 : newline + 1;
}

function tellingOffset(names: readonly string[]): number {
  const shortest = Math.min(...names.map((name) => name.length));
  let best = 0;
  let most = 0;
  for (let offset = 0; offset < shortest; offset++) {
    const distinct = new Set(names.map((name) => name[offset])).size;
    if (distinct <= most) continue;
    best = offset;
    most = distinct;
  }
  return best;
}

/** `from` is right behind the name; null where a longer name begins like this one. */
function readSample(text: string, from: number, end: number): Sample | null {
  const after = text[from];
  if (after === ' ' || after === '\t') return { labels: '', value: readValue(text.slice(from, end)) };
  if (after !== '{') return null;
  const close = closingBrace(text, from + 1, end);
  if (close < 0) return { labels: '', value: NaN };
  return { labels: text.slice(from + 1, close), value: readValue(text.slice(close + 1, end)) };
}

/** The value, without the timestamp that may follow it. */
function readValue(rest: string): number {
  const value = rest.trim().split(/[ \t]/, 1)[0];
  return value === '' ? NaN : Number(value);
}

/** Index of the brace that ends the labels (one inside quotes does not), or -1. */
function closingBrace(text: string, from: number, end: number): number {
  let quoted = false;
  for (let at = from; at < end; at++) {
    const char = text[at];
    if (char === '\\') at += 1;
    else if (char === '"') quoted = !quoted;
    else if (char === '}' && !quoted) return at;
  }
  return -1;
}

/** The value of one label, unescaped; null where it is missing or the labels are malformed. */
export function labelOf(labels: string, name: string): string | null {
  let at = nameStart(labels, 0);
  while (at < labels.length) {
    const open = labels.indexOf('="', at);
    if (open < 0) return null;
    const close = closingQuote(labels, open + 2);
    if (close < 0) return null;
    // An engine's configuration is a hundred labels: no string is made of those that nobody asked for.
    if (labels.startsWith(name, at) && isBlank(labels, at + name.length, open)) {
      return unescape(labels.slice(open + 2, close));
    }
    at = nameStart(labels, close + 1);
  }
  return null;
}

function nameStart(labels: string, from: number): number {
  let at = from;
  while (labels[at] === ',' || labels[at] === ' ') at += 1;
  return at;
}

function isBlank(labels: string, from: number, to: number): boolean {
  let at = from;
  while (at < to && labels[at] === ' ') at += 1;
  return at === to;
}

function closingQuote(labels: string, from: number): number {
  for (let at = labels.indexOf('"', from); at >= 0; at = labels.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (at - 1 - backslashes >= from && labels[at - 1 - backslashes] === '\\') backslashes += 1;
    if (backslashes % 2 === 0) return at;
  }
  return -1;
}

function unescape(value: string): string {
  return value.includes('\\') ? value.replace(/\\(.)/g, (_all, char: string) => (char === 'n' ? '\n' : char)) : value;
}
