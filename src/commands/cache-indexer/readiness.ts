import type { EngineState } from './engines.ts';

/** What `/readyz` says. */
export interface Readiness {
  readonly ready: boolean;
  readonly lines: readonly string[];
}

/**
 * Ready once every engine's stream is live or given up. An engine that comes later does not take it back: what is known
 * of the others is worth as much as before.
 */
export class ReadinessLatch {
  private reached = false;

  /** `missing`: what has to be read before engines are known at all, or null. */
  look(missing: string | null, engines: readonly EngineState[], troubles: readonly string[]): Readiness {
    const waiting = engines.filter(({ phase }) => phase === 'connecting' || phase === 'replaying');
    if (missing === null && waiting.length === 0) this.reached = true;
    const lines = [
      ...(missing === null ? [] : [missing]),
      ...troubles,
      ...waiting.map(({ name, address, phase }) => `${name} (${address}): ${phase}`),
      ...engines.flatMap(({ name, address, phase, reason }) =>
        phase === 'given_up' ? [`${name} (${address}): given up: ${reason}`] : [],
      ),
    ];
    return { ready: this.reached, lines: this.reached ? ['ok', ...lines] : ['waiting', ...lines] };
  }
}
