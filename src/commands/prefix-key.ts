import { readFileSync } from 'node:fs';
import { PrefixKeyError, promptSecretOf } from '../indexer/shared/seal.ts';
import { errorText } from '../observability/log.ts';
import { UsageError } from './io.ts';
import { OutsideError } from './listen.ts';

/**
 * What prompts are hashed with, and what is shared of them is sealed with: the same in all replicas. Null without a
 * file. Throws OutsideError for a file that cannot be read, UsageError for one that is too short.
 */
export function readPrefixKey(file: string): Uint8Array | null {
  if (file === '') return null;
  let key: Buffer;
  try {
    key = readFileSync(file);
  } catch (error) {
    throw new OutsideError(`--prefix-key-file ${file} cannot be read: ${errorText(error)}`);
  }
  try {
    promptSecretOf(key);
  } catch (error) {
    if (error instanceof PrefixKeyError) throw new UsageError(`--prefix-key-file ${file}: ${error.message}`);
    throw error;
  }
  return key;
}
