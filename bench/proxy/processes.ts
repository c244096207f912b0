import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** The proxy has a core to itself; engines and load share the other one. */
export const proxyCore = 0;
export const loadCore = 1;

/** Clock ticks a second in /proc: 100 on every Linux. */
const ticksPerSecond = 100;

export interface Pinned {
  readonly core: number;
  readonly command: string;
  readonly args: readonly string[];
  /** Further variables of its environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts a program on one core; what it says on standard error is shown. */
export function startPinned({ core, command, args, env = {} }: Pinned): ChildProcess {
  return spawn('taskset', ['-c', String(core), command, ...args], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    env: { ...process.env, ...env },
  });
}

/** Moves this process to a core. */
export function pinSelf(core: number): void {
  const { status, stderr } = spawnSync('taskset', ['-acp', String(core), String(process.pid)], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`taskset cannot pin to core ${core}: ${stderr}; two cores are needed`);
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 3000);
  await gone;
  clearTimeout(timer);
}

function descendants(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  const children = text === '' ? [] : text.split(' ').map(Number);
  return [pid, ...children.flatMap(descendants)];
}

/** CPU time of a process and all below it, user and system, in microseconds; to the clock tick, 10 ms. */
export function cpuOf(pid: number): number {
  let ticks = 0;
  for (const one of descendants(pid)) {
    const stat = readFileSync(`/proc/${one}/stat`, 'utf8');
    // The name, in brackets, may hold spaces; utime and stime are fields 14 and 15.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return (ticks * 1_000_000) / ticksPerSecond;
}

/** Resident memory of a process and all below it, in bytes. */
export function rssOf(pid: number): number {
  let kib = 0;
  for (const one of descendants(pid)) {
    kib += Number(/^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${one}/status`, 'utf8'))?.[1] ?? 0);
  }
  return kib * 1024;
}

/** Ports that nothing listens on now, for programs that cannot pick one themselves. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
    return address.port;
  });
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/** Waits until something listens on a port. */
export async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const socket = connect(port, '127.0.0.1');
    const open = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    socket.destroy();
    if (open) return;
    await sleep(50);
  }
  throw new Error(`nothing listens on 127.0.0.1:${port} after ten seconds`);
}
