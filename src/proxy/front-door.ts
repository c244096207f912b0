import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorText, type Log } from '../observability/log.ts';
import type { Clock } from '../router/clock.ts';
import { RoutingError } from '../router/errors.ts';
import type { EndpointFeedback } from '../router/feedback.ts';
import type { RoutingPolicy } from '../router/policy.ts';
import type { Router } from '../router/router.ts';
import type { TableStore } from '../router/table.ts';
import type { Telemetry } from '../router/telemetry.ts';
import { sendError, statusOf } from './answers.ts';
import { BodyBudget, type BodyLimits } from './body-reader.ts';
import { ScratchRequest, type ExchangeContext } from './context.ts';
import { Deadlines } from './deadlines.ts';
import { Exchange } from './exchange.ts';
import { modelById, modelList, sendJson, unknownModel } from './model-list.ts';
import { parsePayload, type Payload } from './payload.ts';
import { askManagers } from './manager-hits.ts';
import { isJson, RequestHeaders } from './request-headers.ts';
import { RetryBudget } from './retry-budget.ts';
import { methodOf, routeOf, type Route } from './routes.ts';
import { Targets } from './targets.ts';
import type { UpstreamClient } from './upstream/client.ts';

/** What the front door needs from the rest of the house. */
export interface FrontDoorDependencies {
  readonly store: TableStore;
  readonly router: Router;
  readonly upstream: UpstreamClient;
  readonly feedback: EndpointFeedback;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: BodyLimits;
}

type InferenceRoute = Extract<Route, { kind: 'inference' }>;

/** Takes HTTP requests, reads and checks them, and starts their exchanges. */
export class FrontDoor {
  readonly bodies: BodyBudget;
  /** Set while the router drains: answers tell clients to come back on another connection. */
  draining = false;
  private readonly dependencies: FrontDoorDependencies;
  private readonly context: ExchangeContext;
  private readonly active = new Map<Exchange, number>();
  private readonly budgets = new Map<string, RetryBudget>();

  constructor(dependencies: FrontDoorDependencies) {
    this.dependencies = dependencies;
    this.bodies = new BodyBudget(dependencies.limits);
    const { router, upstream, feedback, telemetry, clock } = dependencies;
    this.context = {
      router,
      upstream,
      feedback,
      telemetry,
      clock,
      targets: new Targets(),
      deadlines: new Deadlines(clock),
      scratch: new ScratchRequest(),
      budgetOf: (policy) => this.budgetOf(policy),
      draining: () => this.draining,
      ended: (exchange) => this.ended(exchange),
    };
  }

  /** Requests under way. */
  get inFlight(): number {
    return this.active.size;
  }

  /** A new table is in force: connections to endpoints that are gone are closed, budgets of gone policies dropped. */
  tableChanged(): void {
    const table = this.dependencies.store.current;
    this.dependencies.upstream.retain(this.context.targets.inTable(table));
    const live = new Set(table.policies.map((policy) => policy.key));
    for (const key of this.budgets.keys()) if (!live.has(key)) this.budgets.delete(key);
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    const headers = new RequestHeaders(request.rawHeaders);
    try {
      this.route(request, response, headers);
    } catch (error) {
      this.refuse(response, headers, error);
    }
  }

  private route(request: IncomingMessage, response: ServerResponse, headers: RequestHeaders): void {
    const url = request.url ?? '/';
    const mark = url.indexOf('?');
    const route = routeOf(mark < 0 ? url : url.slice(0, mark));
    if (route === null) throw new RoutingError('unknown_url', `nothing is served at this path`, { source: 'client' });
    if (request.method !== methodOf(route)) {
      const message = `this path takes ${methodOf(route)} only`;
      throw new RoutingError('method_not_allowed', message, { source: 'client', param: null ?? undefined });
    }
    const table = this.dependencies.store.current;
    if (route.kind === 'models') sendJson(response, modelList(table), headers.requestId);
    else if (route.kind === 'model') sendJson(response, modelById(table, route.id), headers.requestId);
    else this.receive(request, response, { headers, route, query: mark < 0 ? '' : url.slice(mark) });
  }
}
