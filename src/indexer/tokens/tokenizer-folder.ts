import { realpathSync, statSync } from 'node:fs';
import { isAbsolute, join, relative, sep } from 'node:path';

/** A folder that cannot serve as a tokenizer's; the message says what to do. */
export class TokenizerFolderError extends Error {
  override readonly name = 'TokenizerFolderError';
}

/**
 * The folder of a tokenizer that a resource names, beneath the one that the operator has set aside for them: whoever may
 * write a resource must not make the router read other files. Links are followed before the check (mounted volumes
 * consist of them), so none leads out. Throws TokenizerFolderError.
 */
export function tokenizerFolder(root: string | null, name: string): string {
  if (root === null) throw new TokenizerFolderError('local tokenizers need the flag --tokenizers DIR on the router');
  if (isAbsolute(name) || name.includes('\0'))
    throw new TokenizerFolderError(`${JSON.stringify(name)} must be a path beneath the folder of --tokenizers`);
  const top = real(root, 'the folder of --tokenizers');
  const folder = real(join(top, name), JSON.stringify(name));
  const way = relative(top, folder);
  if (way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way))
    throw new TokenizerFolderError(`${JSON.stringify(name)} leads out of the folder of --tokenizers`);
  if (!statSync(folder).isDirectory()) throw new TokenizerFolderError(`${JSON.stringify(name)} is not a folder`);
  return folder;
}

function real(path: string, what: string): string {
  try {
    return realpathSync(path);
  } catch (cause) {
    throw new TokenizerFolderError(`${what} cannot be opened: mount it and let the router's user read it`, { cause });
  }
}
