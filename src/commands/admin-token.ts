import { readFileSync } from 'node:fs';
import { isLoopbackName } from '../observability/admin-server.ts';
import { UsageError } from './io.ts';
import { OutsideError } from './listen.ts';

/**
 * The bearer token of the admin API; null where it listens on loopback and needs none. Throws UsageError, and
 * OutsideError for a file that cannot be read.
 */
export function adminToken(
  flags: { readonly admin: string; readonly 'admin-token-file': string },
  host: string,
): string | null {
  const file = flags['admin-token-file'];
  if (file === '') {
    if (isLoopbackName(host)) return null;
    throw new UsageError(`--admin ${flags.admin} is not a loopback address: give --admin-token-file`);
  }
  let token: string;
  try {
    token = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new OutsideError(`--admin-token-file ${file} cannot be read: ${String(error)}`);
  }
  if (token === '') throw new UsageError(`--admin-token-file ${file} is empty`);
  return token;
}
