import { readdirSync, readFileSync } from 'node:fs';

/**
 * Processes of a pod, as the box's process namespace numbers them, but the one that holds its namespaces. Only in the box,
 * whose node is this machine.
 */
export function processesOf(podUid: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter(
      (pid) => textOf(`/proc/${pid}/cgroup`).includes(podUid) && !textOf(`/proc/${pid}/cmdline`).startsWith('/pause'),
    );
}

/** Empty for a process that has ended meanwhile. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
