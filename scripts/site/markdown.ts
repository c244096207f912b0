// What the site and the tests of the docs must know of Markdown: headings, their anchors, links, code.

/** A piece of a page: prose, or a fenced block with what stands between its fences. */
export interface Piece {
  readonly text: string;
  /** Word after the opening fence, '' where there is none; undefined for prose. */
  readonly language?: string;
  /** Line of the page, from 1, on which the text begins. */
  readonly line: number;
}

/** A link of a page as it is written, with the line it stands on. */
export interface Link {
  readonly target: string;
  readonly line: number;
}

const fence = /^( *)(`{3,})([a-z]*)[^`\n]*$/;

/** Cuts a page into prose and fenced blocks; the lines of the fences belong to neither. */
export function piecesOf(page: string): Piece[] {
  const pieces: Piece[] = [];
  let lines: string[] = [];
  let first = 1;
  let open: { readonly indent: number; readonly ticks: string; readonly language: string } | undefined;
  const cut = (next: number): void => {
    pieces.push({ text: lines.join('\n'), line: first, ...(open === undefined ? {} : { language: open.language }) });
    lines = [];
    first = next;
  };
  for (const [index, line] of page.split('\n').entries()) {
    const found = fence.exec(line);
    if (open === undefined && found !== null) {
      cut(index + 2);
      open = { indent: found[1].length, ticks: found[2], language: found[3] };
    } else if (open !== undefined && line.trim() === open.ticks) {
      cut(index + 2);
      open = undefined;
    } else lines.push(open === undefined ? line : line.slice(Math.min(open.indent, line.search(/\S|$/))));
  }
  cut(first);
  return pieces;
}

const codeSpan = /(`+)(?!`)([^]*?[^`])\1(?!`)/g;
const link = /(\[(?:[^\]`]|`[^`]*`)*\]\()([^)\s]+)(\))/g;

const lineAt = ({ text, line }: Piece, offset: number): number => line + text.slice(0, offset).split('\n').length - 1;

/** The code of a page: its fenced blocks, and what stands in a line as code, which has no language. */
export function codeOf(page: string): Piece[] {
  return piecesOf(page).flatMap((piece) => {
    if (piece.language !== undefined) return [piece];
    return [...piece.text.matchAll(codeSpan)].map((found) => ({ text: found[2], line: lineAt(piece, found.index) }));
  });
}

/** Every link of a page that stands in prose. */
export function linksOf(page: string): Link[] {
  const found: Link[] = [];
  for (const piece of piecesOf(page)) {
    if (piece.language !== undefined) continue;
    for (const match of piece.text.matchAll(link)) found.push({ target: match[2], line: lineAt(piece, match.index) });
  }
  return found;
}

/** The page with every link in prose replaced by what `target` says. */
export function withLinks(page: string, target: (written: string) => string): string {
  const pieces = piecesOf(page);
  const lines = page.split('\n');
  for (const { text, language, line } of pieces) {
    if (language !== undefined) continue;
    const replaced = text.replace(
      link,
      (_all, open: string, to: string, close: string) => `${open}${target(to)}${close}`,
    );
    for (const [index, one] of replaced.split('\n').entries()) lines[line - 1 + index] = one;
  }
  return lines.join('\n');
}

const heading = /^(#{1,6}) +(.*?)(?: +#+)?$/;

/** Headings of a page with their depth, 1 to 6, as they are written. */
export function headingsOf(page: string): { readonly depth: number; readonly text: string }[] {
  return piecesOf(page)
    .filter(({ language }) => language === undefined)
    .flatMap(({ text }) => text.split('\n'))
    .flatMap((line) => {
      const found = heading.exec(line);
      return found === null ? [] : [{ depth: found[1].length, text: found[2] }];
    });
}

/** Text of a heading as it is read: without marks of Markdown. */
export const plainText = (written: string): string =>
  written
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/[`*]/g, '')
    .trim();

/** The title of a page: its first heading. */
export const titleOf = (page: string): string => plainText(headingsOf(page)[0]?.text ?? '');

/** The anchor of a heading, as repositories show it: lower case, no punctuation, a hyphen for each blank. */
export const slug = (text: string): string =>
  text
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M} _-]/gu, '')
    .replaceAll(' ', '-');

/** Anchors of a page; of equal headings the second is `-1` and so on. */
export function anchorsOf(page: string): string[] {
  const seen = new Map<string, number>();
  return headingsOf(page).map(({ text }) => {
    const anchor = slug(plainText(text));
    const count = seen.get(anchor) ?? 0;
    seen.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  });
}
