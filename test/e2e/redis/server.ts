import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { until } from '../testkit/until.ts';
import { quietPort } from '../testkit/ports.ts';

const cache = join(import.meta.dirname, '../../../.cache/redis');

/** Real servers, installed into .cache once. Redis, 6.2, is there on x64 only. */
export function storePrograms(): { name: string; path: string }[] {
  execFileSync(join(import.meta.dirname, 'install.sh'), [cache], { stdio: ['ignore', 'ignore', 'inherit'] });
  return ['valkey-server', 'redis-server']
    .map((name) => ({ name, path: join(cache, name) }))
    .filter(({ path }) => existsSync(path));
}

/** A real Redis or Valkey on loopback that can be killed, frozen and brought back empty at the same port. */
export class StoreServer {
  readonly port: number;
  private readonly program: string;
  private readonly flags: readonly string[];
  private readonly folder = mkdtempSync(join(tmpdir(), 'hermes-store-'));
  private child: ChildProcess | null = null;

  private constructor(program: string, port: number, flags: readonly string[]) {
    this.program = program;
    this.port = port;
    this.flags = flags;
  }

  static async start(program: string, ...flags: string[]): Promise<StoreServer> {
    const server = new StoreServer(program, await quietPort(), flags);
    await server.up();
    return server;
  }

  /** Starts, with nothing in it. */
  async up(): Promise<void> {
    const settings = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--dir', this.folder];
    this.child = spawn(this.program, [...settings, ...this.flags], { stdio: 'ignore' });
    await until('the store listens', () => accepts(this.port));
  }

  async kill(): Promise<void> {
    const { child } = this;
    this.child = null;
    if (child === null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  /** It keeps its connections and answers nothing. */
  freeze(): void {
    this.child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.child?.kill('SIGCONT');
  }

  async dispose(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** TLS in front of a server that speaks none: the wheels are built without. */
export async function tlsInFront(
  port: number,
  pair: { cert: string; key: string },
): Promise<{ port: number; close: () => void }> {
  const server = createTlsServer(pair, (client) => {
    const upstream = connect(port, '127.0.0.1');
    client.pipe(upstream).pipe(client);
    client.on('error', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: portOf(server.address()), close: () => server.close() };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

function portOf(address: ReturnType<ReturnType<typeof createServer>['address']>): number {
  if (typeof address !== 'object' || address === null) throw new Error('listens on no port');
  return address.port;
}
