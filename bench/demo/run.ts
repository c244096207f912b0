import { fileURLToPath } from 'node:url';
import { runDemo } from '../../src/sim/demo.ts';

// The demo's comparison over five seeds instead of one; further flags, such as --workload or --json, are passed on.
const io = {
  out: (line: string) => void process.stdout.write(`${line}\n`),
  err: (line: string) => void process.stderr.write(`${line}\n`),
};
const program = [process.execPath, fileURLToPath(new URL('../../src/main.ts', import.meta.url))];
process.exitCode = await runDemo(['--seeds=5', ...process.argv.slice(2)], io, { program, redraw: null, once: true });
