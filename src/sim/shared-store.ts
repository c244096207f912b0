import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SharedStore } from './allocation.ts';
import type { Sequence } from './sequence.ts';

/** The names of stored prompts, wherever they are kept. */
export interface StoredNames {
  has(name: string): boolean;
  add(name: string): void;
}

/**
 * Shared storage as vLLM's ExampleConnector has it: one entry a prompt, of its whole blocks up to (not including) the last token, found
 * by an equal prompt only and never by a mere prefix. Only names are kept: simulated KV has no bytes.
 */
export function sharedStore(names: StoredNames): SharedStore {
  return {
    find(sequence) {
      const name = nameOf(sequence);
      return name !== null && names.has(name) ? storedTokens(sequence) : 0;
    },
    save(sequence) {
      const name = nameOf(sequence);
      if (name !== null) names.add(name);
    },
  };
}

/** Names as empty files of a folder, which is made where it is missing. */
export function folderNames(folder: string): StoredNames {
  mkdirSync(folder, { recursive: true });
  const known = new Set<string>();
  return {
    has(name) {
      if (!known.has(name) && existsSync(join(folder, name))) known.add(name);
      return known.has(name);
    },
    add(name) {
      if (known.has(name)) return;
      known.add(name);
      writeFileSync(join(folder, name), '');
    },
  };
}

function storedTokens({ promptLength, blockSize }: Sequence): number {
  return Math.floor((promptLength - 1) / blockSize) * blockSize;
}

/** The chained hash of the last stored block, adapter and salt in it; null for a prompt too short to store. */
function nameOf(sequence: Sequence): string | null {
  const last = storedTokens(sequence) / sequence.blockSize - 1;
  if (last < 0) return null;
  return `${hex(sequence.hashHigh(last))}${hex(sequence.hashLow(last))}`;
}

function hex(half: number): string {
  return half.toString(16).padStart(8, '0');
}
