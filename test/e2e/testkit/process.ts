import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Readable } from 'node:stream';
import { until } from './until.ts';

const program = fileURLToPath(new URL('../../../bin/hermes-router', import.meta.url));

/** `hermes-router` as a process of its own, and everything that it has said. */
export class HermesProcess {
  stdout = '';
  stderr = '';
  private readonly child: ChildProcessByStdio<null, Readable, Readable>;
  private readonly exited: Promise<number | NodeJS.Signals | null>;

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.child = spawn(program, [...args], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.exited = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('close', (code, signal) => resolve(code ?? signal));
    });
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error('the process has not started');
    return this.child.pid;
  }

  /** The address that a server of this name listens on. */
  async address(server: string): Promise<string> {
    return until(`${server} listens; the process said: ${this.stdout}${this.stderr}`, () => {
      if (this.child.exitCode !== null) throw new Error(`exit ${this.child.exitCode}: ${this.stdout}${this.stderr}`);
      return this.entries().find((entry) => entry.msg === 'listening' && entry.server === server)?.address as string;
    });
  }

  /** Lines of the log. */
  entries(): Record<string, unknown>[] {
    const lines = this.stdout.split('\n').filter((line) => line.startsWith('{') && line.endsWith('}'));
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Nobody reads its log any more: the next line meets a closed pipe. */
  stopReading(): void {
    this.child.stdout.destroy();
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** The exit code, or the signal that ended the process. */
  get exit(): Promise<number | NodeJS.Signals | null> {
    return this.exited;
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** Open sockets of the process. */
  sockets(): number {
    const folder = `/proc/${this.pid}/fd`;
    return readdirSync(folder).filter((fd) => linkOf(`${folder}/${fd}`).startsWith('socket:')).length;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    // Closed between the listing and the look.
    return '';
  }
}
