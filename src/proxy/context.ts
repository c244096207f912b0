import type { ScratchRequest } from '../openai/scratch-request.ts';
import type { Log } from '../observability/log.ts';
import type { Clock } from '../router/clock.ts';
import type { EndpointFeedback } from '../router/feedback.ts';
import type { RoutingPolicy } from '../router/policy.ts';
import type { Router } from '../router/router.ts';
import type { HandoverTelemetry } from '../observability/telemetry.ts';
import type { Deadlines } from '../router/deadlines.ts';
import type { AbortBook } from './handover/abort-book.ts';
import type { RetryBudget } from './retry-budget.ts';
import type { Targets } from './targets.ts';
import type { UpstreamClient } from './upstream/client.ts';

/** What every exchange of a front door shares. */
export interface ExchangeContext {
  readonly router: Router;
  readonly upstream: UpstreamClient;
  readonly targets: Targets;
  readonly feedback: EndpointFeedback;
  readonly telemetry: HandoverTelemetry;
  /** What prefillers are owed. */
  readonly aborts: AbortBook;
  readonly deadlines: Deadlines;
  readonly clock: Clock;
  readonly log: Log;
  readonly scratch: ScratchRequest;
  budgetOf(policy: RoutingPolicy): RetryBudget;
  /** Whether the router is going away and connections should be. */
  draining(): boolean;
  /** An exchange holds nothing any more: its body, of so many bytes, is free. */
  ended(bodyBytes: number): void;
}
