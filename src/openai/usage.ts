/** What an engine says of a finished request; -1 where it says nothing. */
export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
}

/** Where an engine said nothing. */
export const noUsage: Usage = Object.freeze({ promptTokens: -1, completionTokens: -1, cachedTokens: -1 });

/** At most so many bytes from the word usage on are looked at; what engines say there takes a third of it. */
const usageBytes = 1024;
const usageKey = Buffer.from('"usage"');
const promptPattern = /"(?:prompt|input)_tokens"\s*:\s*(\d{1,12})/;
const completionPattern = /"(?:completion|output)_tokens"\s*:\s*(\d{1,12})/;
const cachedPattern = /"cached_tokens"\s*:\s*(\d{1,12})/;

/**
 * Keeps the last pieces of an answer, at no cost per piece, and reads the usage from them at its end. A text can
 * not pass for usage: quotes inside JSON strings are escaped.
 */
export class UsageTail {
  private last: Buffer | null = null;
  private before: Buffer | null = null;
  private third: Buffer | null = null;

  push(chunk: Buffer): void {
    this.third = this.before;
    this.before = this.last;
    this.last = chunk;
  }

  read(): Usage {
    const pieces = [this.third, this.before, this.last].filter((piece) => piece !== null);
    return usageIn(pieces.length === 1 ? pieces[0] : Buffer.concat(pieces));
  }
}

/** The usage that the end of an answer tells. */
export function usageIn(bytes: Buffer): Usage {
  const at = bytes.lastIndexOf(usageKey);
  if (at < 0) return noUsage;
  const text = bytes.toString('latin1', at, Math.min(bytes.length, at + usageBytes));
  return {
    promptTokens: field(text, promptPattern),
    completionTokens: field(text, completionPattern),
    cachedTokens: field(text, cachedPattern),
  };
}

function field(text: string, pattern: RegExp): number {
  const found = pattern.exec(text);
  return found === null ? -1 : Number(found[1]);
}
