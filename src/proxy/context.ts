import type { Log } from '../observability/log.ts';
import type { Clock } from '../router/clock.ts';
import type { EndpointFeedback } from '../router/feedback.ts';
import { nothingForeknown, type Foreknowledge } from '../router/foreknowledge.ts';
import type { RoutingPolicy } from '../router/policy.ts';
import { Prompt } from '../router/prompt.ts';
import type { HeaderLookup, InferenceRequest } from '../router/request.ts';
import type { Router } from '../router/router.ts';
import type { Telemetry } from '../observability/telemetry.ts';
import type { Deadlines } from './deadlines.ts';
import type { RetryBudget } from './retry-budget.ts';
import type { Targets } from './targets.ts';
import type { UpstreamClient } from './upstream/client.ts';

/** What every exchange of a front door shares. */
export interface ExchangeContext {
  readonly router: Router;
  readonly upstream: UpstreamClient;
  readonly targets: Targets;
  readonly feedback: EndpointFeedback;
  readonly telemetry: Telemetry;
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

/** The request as the decision sees it; one object for all, since a decision never awaits. */
export class ScratchRequest implements InferenceRequest {
  model = '';
  user = '';
  headers: HeaderLookup = { get: () => undefined };
  known: Foreknowledge = nothingForeknown;
  requestId = '';
  readonly prompt: Prompt;

  /** `promptSecret`: one for the whole process, since prompts must be found again by whoever reads them. */
  constructor(promptSecret?: number) {
    this.prompt = new Prompt(promptSecret);
  }
}
