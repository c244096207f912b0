import type { ServerResponse } from 'node:http';
import type { Clock } from '../router/clock.ts';

/** Milliseconds in which the rest of a refused request may still come. */
export const longest = 5000;

/**
 * Ends an answer that closes its connection once the client has sent all of its request, or after a while. A
 * connection that is closed while the client still sends is reset, and the reset can overtake the answer.
 */
export function endOnceSent(response: ServerResponse, clock: Clock): void {
  const { req } = response;
  const end = (): void => {
    cancel();
    response.end();
  };
  const cancel = clock.after(longest, end);
  req.once('end', end);
  req.once('close', end);
  req.resume();
}
