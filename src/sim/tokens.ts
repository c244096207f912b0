/** UTF-8 bytes in one token: the rule of thumb for English text, exact here. */
export const bytesPerToken = 4;

// An odd factor is invertible modulo 2^32, so ids spread like a vocabulary's and still detokenize exactly.
const spread = 0x9e3779b1;
const unspread = inverse(spread);

// Bytes that no UTF-8 text holds, so that text can never spell a special token.
const startOfMessage = tokenOf(0xff000001);
const endOfMessage = tokenOf(0xff000002);

function tokenOf(fourBytes: number): number {
  return Math.imul(fourBytes, spread) >>> 0;
}

/** Newton's iteration doubles the number of right bits each time. */
function inverse(odd: number): number {
  let x = odd;
  for (let i = 0; i < 5; i++) x = Math.imul(x, 2 - Math.imul(odd, x));
  return x;
}

/** Token ids of a prompt under construction. */
export class TokenWriter {
  private ids = new Uint32Array(1024);
  private length = 0;

  text(text: string): void {
    const bytes = Buffer.byteLength(text);
    const count = Math.ceil(bytes / bytesPerToken);
    const padded = new Uint8Array(count * bytesPerToken);
    new TextEncoder().encodeInto(text, padded);
    const groups = new Uint32Array(padded.buffer);
    this.reserve(count);
    for (let i = 0; i < count; i++) this.ids[this.length + i] = tokenOf(groups[i]);
    this.length += count;
  }

  /** One message of a ChatML-like template; what it holds is tokenised by itself, so a longer chat keeps its prefix. */
  message(role: string, content: string): void {
    this.openMessage(role);
    this.text(content);
    this.special(endOfMessage);
    this.text('\n');
  }

  /** The start of a message that the model is to write. */
  openMessage(role: string): void {
    this.special(startOfMessage);
    this.text(`${role}\n`);
  }

  finish(): Uint32Array {
    return this.ids.slice(0, this.length);
  }

  private special(id: number): void {
    this.reserve(1);
    this.ids[this.length++] = id;
  }

  private reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.ids.length) return;
    const ids = new Uint32Array(Math.max(needed, this.ids.length * 2));
    ids.set(this.ids.subarray(0, this.length));
    this.ids = ids;
  }
}

/** Groups of four UTF-8 bytes, each a token; a last short group counts as one. */
export function tokenize(text: string): Uint32Array {
  const writer = new TokenWriter();
  writer.text(text);
  return writer.finish();
}

/** The text of token ids; ids that this tokenizer never makes give replacement characters. */
export function detokenize(ids: ArrayLike<number>): string {
  const groups = Uint32Array.from(ids, (id) => Math.imul(id, unspread) >>> 0);
  return new TextDecoder().decode(groups).replaceAll('\0', '');
}
