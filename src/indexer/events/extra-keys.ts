import type { MsgpackReader } from './msgpack-reader.ts';

/** Bytes of a salt or of what else is told of one block. */
const maxExtraBytes = 4096;

/** What `extra_keys` is read into. */
export interface ExtraKeys {
  salt: string;
  extras: string[] | null;
}

/** What of the event the meaning of its `extra_keys` depends on. */
export interface ExtraContext {
  readonly count: number;
  readonly hasParent: boolean;
  readonly loraName: string;
  readonly loraId: number;
}

/**
 * Reads `extra_keys`: for each block null or a list, untagged, which vLLM fills in this order: LoRA name, a pair
 * `[image hash, offset]` for each image in the block, the cache salt (first block of a prompt only), digests of prompt
 * embeddings as bytes. Told apart by these rules:
 *
 * 1. The first text equal to `lora_name`, or integer equal to `lora_id` (engines of 2025), is the adapter's: dropped.
 * 2. A list, bytes, a number: an extra of its block.
 * 3. Of the texts that remain on the first block of a prompt (no parent), the last one is the salt.
 * 4. Every other text is an extra.
 *
 * Limits: engines of 2025 tell images as bare texts, so an image in the first block of a prompt without salt is taken for a
 * salt. And a salt that equals the adapter's name is told twice, which rule 1 takes once. The first errs on the safe side:
 * the block is found only by one who asks for that very salt. Extras are named by their own bytes: equal or not is all they
 * say.
 */
export function readExtraKeys(reader: MsgpackReader, context: ExtraContext, out: ExtraKeys): void {
  out.salt = '';
  out.extras = null;
  if (reader.takeNil()) return;
  const blocks = reader.list();
  for (let block = 0; block < blocks; block++) {
    if (reader.takeNil()) continue;
    const extra = readBlock(reader, context, block === 0 && !context.hasParent ? out : null);
    if (extra !== '' && block < context.count) (out.extras ??= emptyExtras(context.count))[block] = extra;
  }
}

/** Reads one block's list; the salt goes to `first` where the block is a prompt's first. Returns the rest by its bytes. */
function readBlock(reader: MsgpackReader, context: ExtraContext, first: ExtraKeys | null): string {
  const count = reader.list();
  let adapterSeen = false;
  let extra = '';
  for (let i = 0; i < count; i++) {
    const start = reader.at;
    if (!adapterSeen && takeAdapter(reader, context)) {
      adapterSeen = true;
      continue;
    }
    reader.at = start;
    if (first !== null && reader.kind() === 'text') {
      // A further text: what was taken for the salt before was an image.
      if (first.salt !== '') extra += `${first.salt}\n`;
      first.salt = reader.text(maxExtraBytes);
      continue;
    }
    reader.skip();
    reader.limit(start, maxExtraBytes);
    extra += reader.rawSince(start);
  }
  return extra;
}

/** Whether the next element names the adapter; it is read then. */
function takeAdapter(reader: MsgpackReader, { loraName, loraId }: ExtraContext): boolean {
  const kind = reader.kind();
  if (kind === 'text') return loraName !== '' && reader.text(maxExtraBytes) === loraName;
  return kind === 'integer' && loraId >= 0 && reader.integer(Number.MAX_SAFE_INTEGER) === loraId;
}

function emptyExtras(count: number): string[] {
  return new Array<string>(count).fill('');
}
