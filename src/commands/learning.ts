import type { Clock } from '../router/clock.ts';
import type { Assembly } from './assembly.ts';

/** Milliseconds that a router which has just started waits for what it can learn before it calls itself ready without. */
const grace = 2000;

/** Why a router that was started at `since` (milliseconds of the clock) is not ready yet; null where nothing is to wait for. */
export function learning(assembly: Assembly, clock: Clock, since: number): string | null {
  return clock.now() - since < grace ? assembly.stillToLearn : null;
}
