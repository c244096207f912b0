// What a box has outside of its namespaces: control groups, and a folder. Both are named after the process that made them.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const root = '/sys/fs/cgroup';
const folders = realpathSync(tmpdir());
const prefix = 'hermes-box-';

/** Makes the control group of this process's box, below which its pods have theirs; its path as a kubelet names it. */
export function makeCgroup(): string {
  const name = `${prefix}${process.pid}`;
  for (const hierarchy of hierarchies()) mkdirSync(join(hierarchy, name), { recursive: true });
  return `/${name}`;
}

/** Makes the folder of this process's box; without symbolic links on its path, which kubelets do not follow. */
export function makeFolder(): string {
  return mkdtempSync(join(folders, `${prefix}${process.pid}-`));
}

/** Removes what boxes that have ended left outside: this process's, and of those that were killed. */
export async function removeLeftovers(): Promise<void> {
  for (const hierarchy of hierarchies())
    for (const name of readdirSync(hierarchy).filter(isEnded)) await removeGroup(join(hierarchy, name));
  for (const name of readdirSync(folders).filter(isEnded))
    rmSync(join(folders, name), { recursive: true, force: true });
}

function isEnded(name: string): boolean {
  const pid = Number(new RegExp(`^${prefix}(\\d+)(-|$)`).exec(name)?.[1] ?? NaN);
  return pid === process.pid || (pid > 0 && !existsSync(`/proc/${pid}`));
}

/** Of version 2 there is one hierarchy; version 1 has one for each controller. */
function hierarchies(): string[] {
  if (existsSync(join(root, 'cgroup.controllers'))) return [root];
  const below = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return below.map(({ name }) => join(root, name)).filter((path) => existsSync(join(path, 'cgroup.procs')));
}

/** A group whose last process has just been killed is busy for a moment. */
async function removeGroup(path: string): Promise<void> {
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) await removeGroup(join(path, entry.name));
  for (let left = 100; ; left -= 1) {
    try {
      rmdirSync(path);
      return;
    } catch (error) {
      if (left === 0) throw error;
      await sleep(50);
    }
  }
}
