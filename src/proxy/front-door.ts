import { errorText, rateLimited, type Log } from '../observability/log.ts';
import type { Clock } from '../router/clock.ts';
import { RoutingError } from '../router/errors.ts';
import type { EndpointFeedback } from '../router/feedback.ts';
import { nothingForeknown, type Foreknowledge } from '../router/foreknowledge.ts';
import type { RoutingPolicy } from '../router/policy.ts';
import { readsAnyHits } from '../router/profiles.ts';
import type { Router } from '../router/router.ts';
import type { TableStore } from '../router/table.ts';
import type { Trail, Trails } from '../observability/tracing/trail.ts';
import type { HandoverTelemetry } from '../observability/telemetry.ts';
import { statusOf } from '../openai/answers.ts';
import { checkAllowed, checkJson, checkMethod, servedRoute } from '../openai/admission.ts';
import { resolve } from '../openai/resolve.ts';
import { ScratchRequest } from '../openai/scratch-request.ts';
import { sendError, sendJson } from './send.ts';
import { BodyBudget, type BodyLimits } from '../openai/body-budget.ts';
import { readBody } from './body-reader.ts';
import type { ExchangeContext } from './context.ts';
import { Deadlines } from '../router/deadlines.ts';
import { Exchange } from './exchange.ts';
import { foreknow } from '../openai/foreknow.ts';
import { AbortBook } from './handover/abort-book.ts';
import { namedPair } from './handover/named-pair.ts';
import type { ClientRequest } from './http/connection.ts';
import type { Response } from './http/response.ts';
import type { Inbound } from './inbound.ts';
import { servePage, type PageHandler } from './page.ts';
import { modelById, modelList } from '../openai/model-list.ts';
import { parsePayload } from '../openai/payload.ts';
import { RequestHeaders } from './request-headers.ts';
import { openTrail, Unfinished } from './request-trail.ts';
import { RetryBudget } from './retry-budget.ts';
import { Targets } from './targets.ts';
import type { UpstreamClient } from './upstream/client.ts';

/** What the front door needs from the rest of the house. */
export interface FrontDoorDependencies {
  readonly store: TableStore;
  readonly router: Router;
  readonly upstream: UpstreamClient;
  readonly feedback: EndpointFeedback;
  readonly telemetry: HandoverTelemetry;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: BodyLimits;
  /** 32 bits that the keys of prompts depend on; the same for all who read one index. */
  readonly promptSecret: number;
  /** Set in a leader: requests may name the pair that is to serve them, by headers. */
  readonly pairs?: 'FromHeaders';
  /** What is answered to a GET of further paths, which are none of an engine's. */
  readonly pages?: ReadonlyMap<string, PageHandler>;
  /** Who follows single requests; nobody where it is left out. */
  readonly trails?: Trails;
}

/** Takes HTTP requests, reads and checks them, and starts their exchanges. */
export class FrontDoor {
  readonly bodies: BodyBudget;
  /** Set while the router drains: answers tell clients to come back on another connection. */
  draining = false;
  private readonly dependencies: FrontDoorDependencies;
  private readonly context: ExchangeContext;
  /** Engines may fail a thousand times a second. */
  private readonly log: Log;
  private readonly deadlines: Deadlines<Exchange>;
  private active = 0;
  private readonly budgets = new Map<string, RetryBudget>();

  constructor(dependencies: FrontDoorDependencies) {
    this.dependencies = dependencies;
    this.bodies = new BodyBudget(dependencies.limits);
    const { router, upstream, feedback, telemetry, clock } = dependencies;
    this.log = rateLimited(dependencies.log, () => clock.now());
    this.deadlines = new Deadlines(clock);
    this.context = {
      router,
      upstream,
      feedback,
      telemetry,
      clock,
      log: this.log,
      targets: new Targets(),
      aborts: new AbortBook(clock),
      deadlines: this.deadlines,
      scratch: new ScratchRequest(dependencies.promptSecret),
      budgetOf: (policy) => this.budgetOf(policy),
      draining: () => this.draining,
      ended: (bodyBytes) => this.ended(bodyBytes),
    };
  }

  /** Requests under way. */
  get inFlight(): number {
    return this.active;
  }

  /** The router stops now: every request under way gets a last word. */
  cutAll(): void {
    for (const exchange of this.deadlines.all()) exchange.cut();
  }

  /** A new table is in force: connections to endpoints that are gone are closed, budgets of gone policies dropped. */
  tableChanged(): void {
    const table = this.dependencies.store.current;
    this.dependencies.upstream.retain(this.context.targets.inTable(table));
    const live = new Set(table.policies.map((policy) => policy.key));
    for (const key of this.budgets.keys()) if (!live.has(key)) this.budgets.delete(key);
    this.context.aborts.retain(table);
  }

  handle(request: ClientRequest, response: Response): void {
    const { trails, pages } = this.dependencies;
    const headers = new RequestHeaders(request.head.headers, trails?.tracing);
    const { target } = request.head;
    const mark = target.indexOf('?');
    const path = mark < 0 ? target : target.slice(0, mark);
    const page = pages?.get(path);
    // Pages are what probes and scrapes ask for.
    const followed = trails !== undefined && page === undefined;
    const trail = followed ? openTrail(trails, request.head, headers, this.dependencies.clock.now()) : null;
    try {
      if (page === undefined) this.route(request, response, { headers, trail, path, query: target.slice(path.length) });
      else this.answerPage(page, request, response, headers);
    } catch (error) {
      this.refuse(response, { headers, trail }, error);
    }
  }

  private answerPage(page: PageHandler, { head }: ClientRequest, response: Response, { requestId }: RequestHeaders) {
    checkAllowed('GET', head.method);
    servePage(page, response, requestId);
  }

  private route(request: ClientRequest, response: Response, head: Head): void {
    const { headers, trail } = head;
    const route = servedRoute(head.path);
    trail?.route(route.kind === 'inference' ? route.path : '/v1/models');
    checkMethod(route, request.head.method);
    if (route.kind === 'inference') {
      head.path = route.path;
      this.receive(request, response, head);
      return;
    }
    const table = this.dependencies.store.current;
    sendJson(response, route.kind === 'models' ? modelList(table) : modelById(table, route.id), headers.requestId);
    trail?.endEarly(200, null);
  }

  private receive(request: ClientRequest, response: Response, head: Head): void {
    checkJson(head.headers.contentType);
    const startedAt = this.dependencies.clock.now();
    if (head.trail !== null) response.listener = new Unfinished(head.trail);
    readBody(this.bodies, request, (error, bytes) => {
      if (error !== null) {
        this.refuse(response, head, error);
        return;
      }
      try {
        this.begin(response, { ...head, bytes, startedAt });
      } catch (fault) {
        this.bodies.release(bytes.length);
        this.refuse(response, head, fault);
      }
    });
  }

  /** The body is there: finds the policy and starts the exchange. */
  private begin(response: Response, whole: Whole): void {
    const { store } = this.dependencies;
    const table = store.current;
    const payload = parsePayload(whole.bytes);
    const { model, policy } = resolve(table, payload.model, whole.headers);
    const { path, trail } = whole;
    // Only names that somebody has written down in the cluster are repeated.
    trail?.take({
      model: table.models.includes(model) ? model : 'other',
      policy: policy.key,
      stream: payload.stream,
    });
    const pair = this.dependencies.pairs === 'FromHeaders' ? namedPair(whole.headers, policy) : null;
    const known = readsAnyHits(policy) ? foreknow(policy, { model, path, payload }) : nothingForeknown;
    const start = (known: Foreknowledge): void => {
      const { headers, query, startedAt } = whole;
      this.launch({
        response,
        headers,
        payload,
        path,
        query,
        model,
        policy,
        known,
        pair,
        startedAt,
        trail,
      });
    };
    if (!(known instanceof Promise)) {
      start(known);
      return;
    }
    const { length } = payload.bytes;
    const { clock } = this.dependencies;
    const waiting = trail?.step('look-up');
    known.then(
      (found) => {
        waiting?.end(clock.now());
        // A client that leaves meanwhile has closed its response.
        if (response.closed) this.bodies.release(length);
        else start(found);
      },
      // A look-up does not reject; should one do so, it costs one request and not the process.
      (fault: unknown) => {
        waiting?.end(clock.now(), 'internal_error');
        this.bodies.release(length);
        this.refuse(response, whole, fault);
      },
    );
  }

  private launch(inbound: Inbound): void {
    const exchange = new Exchange(this.context, inbound);
    this.active += 1;
    exchange.start();
  }

  private ended(bodyBytes: number): void {
    this.bodies.release(bodyBytes);
    this.active -= 1;
  }

  private budgetOf(policy: RoutingPolicy): RetryBudget {
    let budget = this.budgets.get(policy.key);
    if (budget === undefined) {
      budget = new RetryBudget();
      this.budgets.set(policy.key, budget);
    }
    return budget;
  }

  private refuse(response: Response, { headers, trail }: Asked, fault: unknown): void {
    const error = this.asRoutingError(fault, headers.requestId);
    const status = statusOf(error.code);
    this.dependencies.telemetry.refused(status);
    trail?.endEarly(status, error.code);
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const extra = ['x-request-id', headers.requestId];
    if (error.allow !== null) extra.push('allow', error.allow);
    // Nobody wants to read on to the end of a body that is too large.
    if (status === 413 || this.draining) response.close = true;
    sendError(response, error, extra);
  }

  private asRoutingError(fault: unknown, requestId: string): RoutingError {
    if (fault instanceof RoutingError) return fault;
    this.log.error('request failed inside the router', { requestId, error: errorText(fault) });
    return new RoutingError('internal_error', 'the router has failed on this request', {
      source: 'router',
      cause: fault,
    });
  }
}

/** Who asks. */
interface Asked {
  readonly headers: RequestHeaders;
  readonly trail: Trail | null;
}

interface Head extends Asked {
  /** The client's path without its query; once its route is known, the one that engines know. */
  path: string;
  readonly query: string;
}

interface Whole extends Head {
  readonly bytes: Buffer;
  readonly startedAt: number;
}
