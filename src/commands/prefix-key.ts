import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { errorText } from '../observability/log.ts';
import { UsageError } from './io.ts';
import { OutsideError } from './listen.ts';

export interface PrefixSecrets {
  /** What shared prefixes are sealed with, the same in all replicas; null where nobody gave a key. */
  readonly prefixKey: Uint8Array | null;
  /** 32 bits that the keys of prompts depend on. */
  readonly promptSecret: number;
}

/**
 * What prompts are hashed with and shared prefixes are sealed with, by the key in a file; without one, chance. Rejects
 * with OutsideError for a file that cannot be read, with UsageError for one that is too short.
 */
export async function prefixSecrets(file: string): Promise<PrefixSecrets> {
  if (file === '') return { prefixKey: null, promptSecret: randomBytes(4).readUInt32LE() };
  const prefixKey = read(file);
  // Loaded only for those who share.
  const { PrefixKeyError, promptSecretOf } = await import('../indexer/shared/seal.ts');
  try {
    return { prefixKey, promptSecret: promptSecretOf(prefixKey) };
  } catch (error) {
    if (error instanceof PrefixKeyError) throw new UsageError(`--prefix-key-file ${file}: ${error.message}`);
    throw error;
  }
}

function read(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new OutsideError(`--prefix-key-file ${file} cannot be read: ${errorText(error)}`);
  }
}
