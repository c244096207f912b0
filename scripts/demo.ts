import { fileURLToPath } from 'node:url';
import { runDemo } from '../src/sim/demo.ts';

const redraw = process.stdout.isTTY ? (text: string) => void process.stdout.write(text) : null;
const io = {
  out: (line: string) => void process.stdout.write(`${line}\n`),
  err: (line: string) => void process.stderr.write(`${line}\n`),
};
const program = [process.execPath, fileURLToPath(new URL('../src/main.ts', import.meta.url))];
process.exitCode = await runDemo(process.argv.slice(2), io, { program, redraw, once: process.env.DEMO_ONCE === '1' });
