import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../../../../.cache');

/**
 * Path of a folder in the project's cache that `make` fills once for these sources. A change of a source, or of the
 * machine's architecture, makes a new folder; older ones of the same name go. What `make` leaves half done, by an
 * error or a kill, is never taken for whole: it works in a folder of its own, renamed at the end.
 */
export async function cached(
  name: string,
  sources: readonly string[],
  make: (folder: string) => Promise<void>,
): Promise<string> {
  const folder = join(root, `${name}-${hashOf(sources)}`);
  if (existsSync(folder)) return folder;
  const draft = `${folder}.${process.pid}`;
  mkdirSync(draft, { recursive: true });
  try {
    await make(draft);
    // Another run may have made the same in the meantime.
    if (existsSync(folder)) return folder;
    renameSync(draft, folder);
    dropOthers(name, folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return folder;
}

function hashOf(sources: readonly string[]): string {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}`);
  for (const path of sources) hash.update('\0').update(readFileSync(path));
  return hash.digest('hex').slice(0, 16);
}

function dropOthers(name: string, but: string): void {
  const whole = new RegExp(`^${name}-[0-9a-f]{16}$`);
  for (const entry of readdirSync(root)) {
    const path = join(root, entry);
    if (whole.test(entry) && path !== but) rmSync(path, { recursive: true, force: true });
  }
}
