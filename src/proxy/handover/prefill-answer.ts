import { topLevelMembers } from '../../openai/members.ts';

/** Bytes of a prefiller's answer that are held at most: ids of some ten thousand blocks are a tenth of it. */
const limit = 1024 * 1024;

const openBrace = 0x7b;

/** A prefiller's answer cannot be used; the message says why, and quotes nothing of it. */
export class UnusableAnswer extends Error {
  override readonly name = 'UnusableAnswer';
}

/** The answer of a prefiller, read whole: it holds where the decoder finds the KV blocks. */
export class PrefillAnswer {
  private readonly pieces: Buffer[] = [];
  private size = 0;

  /** Throws UnusableAnswer when it gets too large. */
  push(chunk: Buffer): void {
    this.size += chunk.length;
    if (this.size > limit) throw new UnusableAnswer(`it is larger than ${limit} bytes`);
    this.pieces.push(chunk);
  }

  /**
   * The JSON of `kv_transfer_params`, byte for byte; null where the engine gives none, since its blocks travel by
   * themselves (shared storage). Throws UnusableAnswer.
   */
  params(): Buffer | null {
    const { pieces } = this;
    const bytes = pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
    if (!isJsonObject(bytes)) throw new UnusableAnswer('it is no JSON object');
    const found = topLevelMembers(bytes).findLast(({ name }) => name === 'kv_transfer_params');
    if (found === undefined) return null;
    const json = bytes.subarray(found.start, found.end);
    if (json[0] === openBrace) return json;
    if (json.toString('latin1') === 'null') return null;
    throw new UnusableAnswer('its kv_transfer_params is neither an object nor null');
  }
}

/** What has been parsed is thrown away: only its byte ranges are wanted, and only of valid JSON can they be told. */
function isJsonObject(bytes: Buffer): boolean {
  try {
    const value: unknown = JSON.parse(bytes.toString('latin1'));
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    // The fault says nothing that the caller could use.
    return false;
  }
}
