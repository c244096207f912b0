import type { HealthService, ServingStatus } from '../../epp/carrier/carrier.ts';
import type { Clock } from '../../router/clock.ts';

/** Milliseconds between looks whether the picker is ready. */
const interval = 250;

/** Readiness as gRPC's health service tells it: alive always, serving while nothing stands against it. */
export class Serving implements ServingStatus {
  private readonly notReady: () => string | null;
  private readonly listeners = new Set<() => void>();
  private readonly cancel: () => void;
  private last: boolean;

  constructor(notReady: () => string | null, clock: Clock) {
    this.notReady = notReady;
    this.last = this.isReady();
    let stop = (): void => undefined;
    const look = (): void => {
      this.look();
      stop = clock.after(interval, look);
    };
    stop = clock.after(interval, look);
    this.cancel = () => stop();
  }

  serving(service: HealthService): boolean {
    return service === 'liveness' || this.isReady();
  }

  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Tells those who watch, if there is news. */
  look(): void {
    const now = this.isReady();
    if (now === this.last) return;
    this.last = now;
    for (const listener of [...this.listeners]) listener();
  }

  close(): void {
    this.cancel();
  }

  private isReady(): boolean {
    return this.notReady() === null;
  }
}
