import { noUsage, type Usage } from '../openai/usage.ts';
import { decisionAttributes } from '../openai/decision-attributes.ts';
import type { Payload } from '../openai/payload.ts';
import type { Trail } from '../observability/tracing/trail.ts';
import type { PolicyTelemetry } from '../observability/telemetry.ts';
import { firstAttempt, type Attempts, type Decision } from '../router/decision.ts';
import type { Endpoint } from '../router/endpoint.ts';
import type { RoutingErrorCode } from '../router/errors.ts';
import type { Outcome } from '../router/feedback.ts';
import type { Foreknowledge } from '../router/foreknowledge.ts';
import type { RoutingPolicy } from '../router/policy.ts';
import { readsHits } from '../router/profiles.ts';
import { bytesPerToken } from '../router/prompt.ts';
import { Reservation } from '../router/reservation.ts';
import type { PickerContext } from './context.ts';
import type { RequestHead } from './request-head.ts';
import { ResponseTail } from './response-tail.ts';
import { endpointAt, namedIn } from './subset.ts';

/** A request that some policy takes, as its decision needs it. */
export interface Taken {
  readonly head: RequestHead;
  /** Bytes of the body; the body itself is not kept, since answers take long. */
  readonly bodyBytes: number;
  /** The model that the client has asked for, and the one that is decided for. */
  readonly asked: string;
  readonly model: string;
  readonly policy: RoutingPolicy;
  /** The path that engines know. */
  readonly path: string;
  /** What the gateway's subset hint allows; null where it gives none. */
  readonly only: ReadonlySet<string> | null;
  /** When the call began, in milliseconds of the clock. */
  readonly startedAt: number;
}

/** What an answer's headers say of it. */
export interface Answered {
  readonly status: number;
  readonly isStream: boolean;
  /** The endpoint that the gateway says has answered, or empty. */
  readonly served: string;
  /** Whether no engine has answered, but the gateway in its place. */
  readonly isOwn: boolean;
}

/** A request's place in the books, from its decision to the end of its answer, whatever way that comes. */
export class Placement {
  readonly taken: Taken;
  /** The pick and its fallbacks, in order, with commas between. */
  destination = '';
  decision: Decision | null = null;
  /** Why the request is refused; null where it is not, or not by us. */
  code: RoutingErrorCode | null = null;
  private readonly trail: Trail | null;
  private readonly context: PickerContext;
  private readonly telemetry: PolicyTelemetry;
  /** Models as metrics name them. */
  private readonly label: string;
  private readonly target: string;
  /** Of the endpoint that answers: the pick, until the gateway tells of another. */
  private reservation: Reservation | null = null;
  private server: Endpoint | null = null;
  private answered: Answered | null = null;
  private decisionMicroseconds = 0;
  private retries = 0;
  private firstByteAt = -1;
  private responseBytes = 0;
  private readonly tail = new ResponseTail();
  private done = false;

  /** `stream`: whether the client asks for one. */
  constructor(context: PickerContext, taken: Taken, { trail, stream }: { trail: Trail | null; stream: boolean }) {
    this.context = context;
    this.taken = taken;
    this.trail = trail;
    this.telemetry = context.telemetry.policy(taken.policy.key);
    const { models } = context.store.current;
    this.label = models.includes(taken.asked) ? taken.asked : 'other';
    this.target = models.includes(taken.model) ? taken.model : 'other';
    this.telemetry.started();
    context.metrics.started(this.label);
    trail?.take({ model: this.label, policy: taken.policy.key, stream });
  }

  /** Decides and reserves; null where no endpoint may take the request. `payload` is null where there is no body. */
  decide(payload: Payload | null, known: Foreknowledge): Decision | null {
    const { taken, context } = this;
    const chosen = this.chosenByHeader();
    if (chosen?.length === 0) return null;
    const before = context.clock.now();
    const { head, model } = taken;
    context.scratch.describe(payload, { model, headers: head, known, requestId: head.requestId });
    const attempts = this.attempts(chosen);
    const decision = context.router.decide(taken.policy, context.scratch, attempts);
    const after = context.clock.now();
    this.decisionMicroseconds = (after - before) * 1000;
    context.metrics.scheduled(after - before);
    if (decision !== null) this.place(decision, chosen);
    if (this.trail?.recording === true) this.traceDecision(decision, before, after);
    return decision;
  }

  private place(decision: Decision, chosen: readonly Endpoint[] | null): void {
    const { context } = this;
    this.decision = decision;
    this.server = decision.endpoint;
    this.reservation = decision.reservation;
    const { cachedTokens, promptTokens } = decision;
    context.metrics.matched(cachedTokens * bytesPerToken, promptTokens * bytesPerToken);
    const others = chosen?.slice(1) ?? this.fallbacks();
    this.destination = decision.endpoint.address;
    for (const { address } of others) this.destination += `,${address}`;
  }

  private traceDecision(decision: Decision | null, before: number, after: number): void {
    const span = this.trail?.span?.child('decision', 'internal', before);
    span?.set({ ...decisionAttributes(this.taken.policy, decision, 1), 'hermes.destination': this.destination });
    if (decision === null) span?.end(after, 'no_ready_endpoint');
    else span?.end(after);
  }

  get explains(): boolean {
    return this.taken.head.debug && this.taken.policy.debugHeaders;
  }

  /** The headers of the answer have come. */
  onAnswer(answered: Answered): void {
    this.answered = answered;
    const { decision, context, taken } = this;
    if (decision === null || answered.served === '' || answered.served === decision.endpoint.address) return;
    const server = endpointAt(taken.policy, answered.served);
    if (server === null || server === decision.endpoint) return;
    context.feedback.report(decision.endpoint.slot, 'connect_failure');
    this.telemetry.retried();
    this.retries += 1;
    this.server = server;
    // Another leader of the same pair: the pair's books stay as they are.
    if (decision.handover !== null) return;
    decision.reservation.release();
    this.reservation = new Reservation(context.states, server.slot, decision.promptTokens);
  }

  /** A piece of the answer's body; valid during the call only. */
  onPiece(piece: Buffer): void {
    if (piece.length === 0) return;
    if (this.firstByteAt < 0) {
      this.firstByteAt = this.context.clock.now();
      this.reservation?.firstByte();
    }
    this.responseBytes += piece.length;
    this.tail.push(piece);
  }

  /** The answer has come to its end. */
  complete(): void {
    const { answered } = this;
    if (answered === null) return;
    const outcome = outcomeOf(answered);
    if (!this.done && this.server !== null) this.context.feedback.report(this.server.slot, outcome);
    this.finish(answered.status, answered.isOwn);
  }

  /**
   * Gives back what is held; counts once. `status` is what the client got, `broken` whether that is no whole answer
   * of an engine.
   */
  finish(status: number, broken: boolean): void {
    if (this.done) return;
    this.done = true;
    this.reservation?.release();
    const usage = this.answered === null ? noUsage : this.tail.read();
    if (usage.promptTokens > 0) this.learn(usage);
    this.tell(usage, status, broken);
  }

  private tell(usage: Usage, status: number, broken: boolean): void {
    const { promptTokens, completionTokens, cachedTokens } = usage;
    const { decision, taken, context } = this;
    const duration = context.clock.now() - taken.startedAt;
    this.telemetry.finished({
      group: decision === null ? '' : decision.backend.group.name,
      status,
      broken,
      duration,
      timeToFirstToken: this.timeToFirstToken(),
      decisionMicroseconds: this.decisionMicroseconds,
      estimatedTokens: decision === null ? 0 : decision.promptTokens,
      estimatedCached: decision === null ? 0 : decision.cachedTokens,
      promptTokens,
      completionTokens,
      cachedTokens,
    });
    context.metrics.finished({
      model: this.label,
      target: decision?.backend.rewriteModel ?? this.target,
      status,
      fromEngine: this.answered !== null && !this.answered.isOwn,
      duration,
      requestBytes: taken.bodyBytes,
      responseBytes: this.responseBytes,
      promptTokens,
      completionTokens,
    });
    if (this.trail !== null) this.endTrail(this.trail, usage, status, broken);
  }

  private endTrail(trail: Trail, usage: Usage, status: number, broken: boolean): void {
    const { decision, server, retries, decisionMicroseconds } = this;
    const code = this.code ?? (status === 499 ? 'client_closed' : 'upstream_unreachable');
    trail.end({
      status,
      code: broken ? code : null,
      group: decision === null ? null : decision.backend.group.name,
      endpoint: server === null ? null : server.name,
      prefillEndpoint: decision?.handover?.prefill.name ?? null,
      retries,
      decisionMicroseconds,
      timeToFirstToken: this.timeToFirstToken(),
      ...usage,
    });
  }

  /** The endpoints that a conformance test wants; null where it wants none. */
  private chosenByHeader(): Endpoint[] | null {
    const { taken, context } = this;
    if (!context.settings.conformance) return null;
    const list = taken.head.get('test-epp-endpoint-selection');
    if (list === undefined) return null;
    return namedIn(list, taken.policy, taken.only).filter(({ slot }) => context.states.isReady(slot));
  }

  private attempts(chosen: readonly Endpoint[] | null): Attempts {
    const only = chosen === null ? this.taken.only : new Set([chosen[0].address]);
    const explain = this.explains || this.trail?.recording === true;
    return only === null && !explain ? firstAttempt : { ...firstAttempt, only, explain };
  }

  /** Copied: the router's own list is valid until its next decision. */
  private fallbacks(): readonly Endpoint[] {
    const { fallbacks } = this.context.settings;
    return fallbacks === 0 ? [] : this.context.router.fallbacks(fallbacks);
  }

  /** Tells the prefix source what share of the prompt the engine says it had cached. */
  private learn({ promptTokens, cachedTokens }: Usage): void {
    const { decision, server, taken } = this;
    if (decision === null || server !== decision.endpoint || !readsHits(taken.policy, decision.backend.group)) return;
    const slot = decision.handover === null ? server.slot : decision.handover.prefill.slot;
    const predicted = decision.cachedTokens / decision.promptTokens;
    decision.backend.group.prefixSource.answered(
      slot,
      predicted,
      cachedTokens < 0 ? null : cachedTokens / promptTokens,
    );
  }

  /** Only a stream's first byte is its first token; milliseconds, or -1. */
  private timeToFirstToken(): number {
    if (this.firstByteAt < 0 || this.answered?.isStream !== true) return -1;
    return this.firstByteAt - this.taken.startedAt;
  }
}

function outcomeOf({ status, isOwn }: Answered): Outcome {
  if (status < 500) return 'ok';
  if (!isOwn) return 'server_error';
  return status === 504 ? 'timeout' : 'connect_failure';
}
