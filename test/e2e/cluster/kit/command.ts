import { spawn } from 'node:child_process';

/** What a command answered. */
export interface Answer {
  code: number;
  stdout: string;
  stderr: string;
}

interface Options {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  stdin?: string;
}

/** Runs a program to its end; a non-zero code is an answer, a program that cannot start is an error. */
export function run(program: string, args: readonly string[], options: Options = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args], { cwd: options.cwd, env: options.env ?? process.env });
    const answer = { code: 0, stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (answer.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (answer.stderr += text));
    child.on('error', reject);
    child.on('close', (code) => resolve({ ...answer, code: code ?? -1 }));
    // A program that ends without reading breaks the pipe; its code tells what happened.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.stdin ?? '');
  });
}

/** Like run, for what has to succeed. */
export async function mustRun(program: string, args: readonly string[], options: Options = {}): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, options);
  if (code === 0) return stdout;
  throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${stderr.slice(-2000)}${stdout.slice(-500)}`);
}
