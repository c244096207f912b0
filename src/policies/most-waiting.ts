import type { Candidates } from '../router/candidates.ts';
import type { EndpointStates } from '../router/states.ts';

/** The most requests that wait at one of the candidates; 1 where none wait, so that it can be divided by. */
export function mostWaiting(states: EndpointStates, { slots, length }: Candidates): number {
  let most = 1;
  for (let i = 0; i < length; i++) most = Math.max(most, states.waitingNow(slots[i]));
  return most;
}
