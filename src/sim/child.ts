import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** Thrown when a program that is needed does not come up; the message carries what it said last. */
export class ChildError extends Error {
  override readonly name = 'ChildError';
}

const startTimeout = 30_000;
const linesKept = 10;

/** A server started as a process of its own, which tells by JSON log lines where it listens. */
export class Child {
  private readonly name: string;
  private readonly process: ChildProcessByStdio<null, Readable, Readable>;
  private readonly addresses: { server: string; address: string }[] = [];
  private readonly lastLines: string[] = [];
  private readonly exited: Promise<void>;
  private ended = false;
  private changed = Promise.withResolvers<void>();

  /** `program` is a command and its first arguments, `args` the rest. */
  constructor(name: string, program: readonly string[], args: readonly string[]) {
    this.name = name;
    this.process = spawn(program[0], [...program.slice(1), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    createInterface({ input: this.process.stdout }).on('line', this.onLine);
    createInterface({ input: this.process.stderr }).on('line', this.onLine);
    const exit = Promise.withResolvers<void>();
    this.exited = exit.promise;
    const onEnd = (): void => {
      this.ended = true;
      exit.resolve();
      this.notify();
    };
    this.process.on('exit', onEnd);
    this.process.on('error', (error) => {
      this.keep(error.message);
      onEnd();
    });
  }

  /** The addresses, in order, that servers of this name listen on, once there are `count`; rejects with ChildError. */
  async listening(server: string, count = 1): Promise<string[]> {
    const deadline = performance.now() + startTimeout;
    for (;;) {
      const found = this.addresses.filter((entry) => entry.server === server).map(({ address }) => address);
      if (found.length >= count) return found;
      if (this.ended) throw this.failure('has ended');
      if (performance.now() > deadline) throw this.failure(`did not say where its ${server} listens`);
      await Promise.race([this.changed.promise, delay(200)]);
    }
  }

  /** Waits until a URL answers 200; rejects with ChildError. */
  async ready(url: string): Promise<void> {
    const deadline = performance.now() + startTimeout;
    while (!(await answers(url))) {
      if (this.ended) throw this.failure('has ended');
      if (performance.now() > deadline) throw this.failure(`is not ready: ${url} never answered 200`);
      await delay(50);
    }
  }

  /** Ends the process without its good-byes and waits until it is gone. */
  async kill(): Promise<void> {
    if (!this.ended) this.process.kill('SIGKILL');
    await this.exited;
  }

  private failure(what: string): ChildError {
    return new ChildError(`${this.name} ${what}; it said last:\n${this.lastLines.join('\n')}`);
  }

  private readonly onLine = (line: string): void => {
    this.keep(line);
    const entry = listeningEntry(line);
    if (entry === null) return;
    this.addresses.push(entry);
    this.notify();
  };

  private keep(line: string): void {
    this.lastLines.push(line);
    if (this.lastLines.length > linesKept) this.lastLines.shift();
  }

  private notify(): void {
    this.changed.resolve();
    this.changed = Promise.withResolvers<void>();
  }
}

function listeningEntry(line: string): { server: string; address: string } | null {
  if (!line.startsWith('{')) return null;
  const value: unknown = JSON.parse(line);
  if (typeof value !== 'object' || value === null || !('msg' in value) || value.msg !== 'listening') return null;
  if (!('server' in value && typeof value.server === 'string')) return null;
  return 'address' in value && typeof value.address === 'string'
    ? { server: value.server, address: value.address }
    : null;
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url);
    await response.arrayBuffer();
    return response.status === 200;
  } catch (error) {
    // Not listening yet; anything that is no network error is a bug of the caller.
    if (error instanceof TypeError) return false;
    throw error;
  }
}

async function delay(milliseconds: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, milliseconds);
  await promise;
}
