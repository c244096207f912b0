// The entry point of the image, which has no shell: what bin/hermes-router does, in Node. It becomes the program, so that
// signals reach it.
import { join } from 'node:path';

/** Flags of Node that fit a command; bin/hermes-router says why. */
export function nodeFlags(command: string | undefined): string[] {
  if (command === 'epp') return ['--max-semi-space-size=16'];
  return ['--max-semi-space-size=4', '--initial-old-space-size=20', '--heap-growing-percent=20'];
}

if (import.meta.main) {
  const args = process.argv.slice(2);
  const program = join(import.meta.dirname, 'main.js');
  if (process.execve === undefined) throw new Error('this platform cannot replace a process; run dist/main.js');
  process.execve(process.execPath, [process.execPath, ...nodeFlags(args[0]), program, ...args], process.env);
}
