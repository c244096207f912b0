import type { FileFault } from '../api/documents.ts';
import { ConfigFileError, type ConfigFileWatch } from '../controller/config-file-watch.ts';
import { errorText } from '../observability/log.ts';
import { InputError } from './io.ts';
import { OutsideError } from './listen.ts';

/** A fault of a file as the command line tells it. */
export const faultLine = ({ file, line, path, message, cure }: FileFault): string =>
  `${file}:${line}: ${path}: ${message}; ${cure}`;

/** Begins to follow the file that a flag names. Throws InputError for one at fault, OutsideError for one not to be read. */
export function beginFollowing(watch: Pick<ConfigFileWatch, 'start'>, flag: string, path: string): void {
  try {
    watch.start();
  } catch (error) {
    if (error instanceof ConfigFileError) throw new InputError(error.faults.map(faultLine).join('\n'));
    if (!(error instanceof Error) || !('syscall' in error)) throw error;
    throw new OutsideError(`${flag} ${path} cannot be read: ${errorText(error)}`);
  }
}
