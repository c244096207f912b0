import type { Clock } from '../router/clock.ts';

/** The machine's own time. */
export const wallClock: Clock = Object.freeze({
  now: () => performance.now(),
  after(milliseconds: number, callback: () => void): () => void {
    const timer = setTimeout(callback, milliseconds);
    timer.unref();
    return () => {
      clearTimeout(timer);
    };
  },
});
