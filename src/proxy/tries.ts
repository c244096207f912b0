import type { Endpoint } from '../router/endpoint.ts';
import type { RetryCause, RoutingPolicy } from '../router/policy.ts';
import type { ExchangeContext } from './context.ts';

const none: readonly Endpoint[] = Object.freeze([]);

/** What has been tried for one request, and whether there is to be more. */
export class Tries {
  private readonly context: ExchangeContext;
  private readonly policy: RoutingPolicy;
  private tried: readonly Endpoint[] = none;
  private failures = 0;
  private resets = 0;

  constructor(context: ExchangeContext, policy: RoutingPolicy) {
    this.context = context;
    this.policy = policy;
  }

  /** An engine has broken before a byte of the answer. */
  broke(): void {
    this.resets += 1;
  }

  /** Whether the request has broken more than one engine. */
  get isPoisonous(): boolean {
    return this.resets > 1;
  }

  /** Whether the policy lets a request that has failed so be tried again. */
  allows(cause: RetryCause): boolean {
    const { retries } = this.policy;
    if (this.failures >= retries.attempts || !retries.on.includes(cause)) return false;
    // A prompt that kills two engines must not meet a third.
    return cause !== 'Reset' || !this.isPoisonous;
  }

  /** Whether there is an engine beside those tried and these, and the budget has room for asking it. */
  findOther(cause: RetryCause, failed: readonly Endpoint[]): boolean {
    const { context, policy } = this;
    if (!context.router.hasOther(policy, [...this.tried, ...failed])) return false;
    if (cause === 'ConnectFailure') return true;
    return context.budgetOf(policy).take(context.clock.now(), policy.retries.budget);
  }

  /** Ends a try: adds the engines at fault to those that are not asked again, and returns all of them. */
  add(failed: readonly Endpoint[]): readonly Endpoint[] {
    this.failures += 1;
    this.tried = [...this.tried, ...failed];
    return this.tried;
  }
}
