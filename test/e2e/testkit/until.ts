import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds between looks. */
const interval = 20;

/**
 * Asks again and again until the answer is neither null, undefined nor false, and returns it. Rejects after `limit`
 * milliseconds, which only a broken program reaches, with what was waited for.
 */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  limit = 15_000,
): Promise<Exclude<T, null | undefined | false>> {
  const end = performance.now() + limit;
  for (;;) {
    const answer = await ask();
    if (isAnswer(answer)) return answer;
    if (performance.now() > end) throw new Error(`never came: ${what}`);
    await sleep(interval);
  }
}

function isAnswer<T>(value: T): value is Exclude<T, null | undefined | false> {
  return value !== null && value !== undefined && value !== false;
}

/**
 * Waits until a number has been the same for `calm` milliseconds, and returns it: for things that must come to rest,
 * whatever time they take to get there.
 */
export async function settled(what: string, read: () => number | Promise<number>, calm = 500): Promise<number> {
  let last = await read();
  let since = performance.now();
  return until(what, async () => {
    const now = await read();
    if (now !== last) since = performance.now();
    last = now;
    return performance.now() - since > calm ? { value: now } : null;
  }).then(({ value }) => value);
}
