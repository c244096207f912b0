import type { Log } from '../observability/log.ts';

/** A server that takes no more connections. */
export interface Draining {
  /** Calls back once every connection is gone. */
  close(closed: () => void): unknown;
  closeIdleConnections(): void;
  closeAllConnections(): void;
}

/** Who has requests under way. */
export interface Door {
  draining: boolean;
  readonly inFlight: number;
  /** Gives every request under way a last word. */
  cutAll(): void;
}

/** What a router gives up in order when it is told to stop; times in milliseconds. */
export interface DrainPlan {
  readonly server: Draining;
  readonly frontDoor: Door;
  readonly log: Log;
  /** Told at once, while requests are still taken. */
  readonly onSignal: () => void;
  /** Still accepting but not ready, while load balancers take notice. */
  readonly delay: number;
  /** For requests under way to end; then they are cut. */
  readonly timeout: number;
}

/** Milliseconds between looks whether the last request has ended. */
const interval = 50;

/**
 * Waits for SIGTERM or SIGINT, then drains. SIGINT comes from a person at a terminal: no delay for load balancers.
 * A second signal cuts what is left.
 */
export async function drainOnSignal(plan: DrainPlan): Promise<void> {
  const signal = await nextSignal();
  const { frontDoor, log, server } = plan;
  frontDoor.draining = true;
  plan.onSignal();
  log.info('draining', { signal, inFlight: frontDoor.inFlight });
  const impatient = nextSignal();
  if (signal === 'SIGTERM') await Promise.race([sleep(plan.delay), impatient]);
  let closed = false;
  let hurried = false;
  server.close(() => (closed = true));
  void impatient.then(() => (hurried = true));
  const end = performance.now() + plan.timeout;
  // The server is closed when the last byte has left and every connection is gone; kept ones are closed as they idle.
  while (!closed && performance.now() < end && !hurried) {
    server.closeIdleConnections();
    await sleep(interval);
  }
  if (frontDoor.inFlight > 0) {
    log.warn('requests were cut', { inFlight: frontDoor.inFlight });
    frontDoor.cutAll();
    await sleep(interval);
  }
  server.closeAllConnections();
  log.info('stopped');
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const got = (signal: NodeJS.Signals): void => {
      process.off('SIGTERM', got);
      process.off('SIGINT', got);
      resolve(signal);
    };
    process.on('SIGTERM', got);
    process.on('SIGINT', got);
  });
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
