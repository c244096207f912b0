import { apiResources } from '../../controller/kube/api-resources.ts';
import type { KubeClient } from '../../controller/kube/contract.ts';
import { errorText, type Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';

/** Milliseconds between two questions: while nobody has answered, and while the kind is not there. */
const again = { unknown: 1_000, absent: 15_000 } as const;

/** Whether the API server has a kind, as far as it has said. */
export type KindState = 'unknown' | 'absent' | 'there';

export interface KindGateOptions {
  /** Whether the API server has the kind; may reject. */
  readonly ask: () => Promise<boolean>;
  /** Called after each change of the state. */
  readonly onChange: () => void;
  /** What is asked for, for the log. */
  readonly what: string;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Asks an API server now and then for a kind that it may be without, until it is there: a watch of a kind that nobody
 * has would be refused for ever.
 */
export class KindGate {
  private readonly options: KindGateOptions;
  private known: KindState = 'unknown';
  private failing = false;
  private closed = false;
  private cancel: () => void = () => undefined;

  constructor(options: KindGateOptions) {
    this.options = options;
  }

  get state(): KindState {
    return this.known;
  }

  start(): void {
    void this.look();
  }

  close(): void {
    this.closed = true;
    this.cancel();
  }

  private async look(): Promise<void> {
    const answer = await this.ask();
    if (this.closed) return;
    const before = this.known;
    if (answer !== null) this.known = answer ? 'there' : 'absent';
    if (this.known !== 'there') {
      const wait = answer === null ? again.unknown : again.absent;
      this.cancel = this.options.clock.after(wait, () => void this.look());
    }
    if (this.known !== before) this.options.onChange();
  }

  private async ask(): Promise<boolean | null> {
    const { ask, log, what } = this.options;
    try {
      const answer = await ask();
      this.failing = false;
      return answer;
    } catch (error) {
      if (!this.failing)
        log.warn('the API server does not say whether it has a kind', { what, error: errorText(error) });
      this.failing = true;
      return null;
    }
  }
}

/**
 * Whether an API server has a collection, such as `inferenceobjectives` of `llm-d.ai/v1alpha2`. False where we may not
 * ask. Rejects where there is no answer.
 */
export async function hasKind(client: KubeClient, api: string, plural: string): Promise<boolean> {
  const served = await apiResources(client, api);
  return Array.isArray(served) && served.some(({ name }) => name === plural);
}
