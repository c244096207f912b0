import type { Clock } from '../router/clock.ts';
import type { Engine } from './engine.ts';
import type { Sequence, SequenceSpec } from './sequence.ts';

/** What a driver needs from outside. */
export interface DriverDependencies {
  readonly clock: Clock;
  /** Engine seconds that pass in one second of the clock. */
  readonly speedUp: number;
  /** Called after steps have ended, so that what they made goes out in one write. */
  readonly flush: () => void;
}

/**
 * Lets a simulated engine's time run along with a clock. A wake-up that comes late ends all the steps that were due, each at
 * its own due time, so the engine's clock never drifts; how late they came out is counted in the engine's totals.
 */
export class EngineDriver {
  private readonly engine: Engine;
  private readonly dependencies: DriverDependencies;
  private readonly origin: number;
  private cancel: (() => void) | null = null;
  private armedFor = Infinity;

  constructor(engine: Engine, dependencies: DriverDependencies) {
    this.engine = engine;
    this.dependencies = dependencies;
    this.origin = dependencies.clock.now();
  }

  /** Engine seconds since the start. */
  now(): number {
    return ((this.dependencies.clock.now() - this.origin) / 1000) * this.dependencies.speedUp;
  }

  submit(spec: SequenceSpec): Sequence {
    const now = this.catchUp();
    const sequence = this.engine.submit(spec, now);
    this.arm(now);
    return sequence;
  }

  abort(sequence: Sequence): void {
    this.at((engine, now) => {
      engine.abort(sequence, now);
    });
  }

  sleep(): void {
    this.at((engine) => {
      engine.sleep();
    });
  }

  wake(): void {
    this.at((engine, now) => {
      engine.wake(now);
    });
  }

  /** Does something to the engine at its time of now; what came of it is flushed, and the clock set for what comes next. */
  at<T>(act: (engine: Engine, now: number) => T): T {
    const now = this.catchUp();
    const result = act(this.engine, now);
    this.dependencies.flush();
    this.arm(now);
    return result;
  }

  stop(): void {
    this.cancel?.();
    this.cancel = null;
    this.armedFor = Infinity;
  }

  private catchUp(): number {
    const now = this.now();
    if (this.engine.due <= now) {
      this.engine.advance(now);
      this.dependencies.flush();
    }
    return now;
  }

  private arm(now: number): void {
    const { due } = this.engine;
    if (due === this.armedFor) return;
    this.stop();
    if (due === Infinity) return;
    this.armedFor = due;
    const milliseconds = Math.max(0, ((due - now) / this.dependencies.speedUp) * 1000);
    this.cancel = this.dependencies.clock.after(milliseconds, this.onTimer);
  }

  private readonly onTimer = (): void => {
    this.armedFor = Infinity;
    this.arm(this.catchUp());
  };
}
