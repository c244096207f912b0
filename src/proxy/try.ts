import type { Span } from '../observability/tracing/tracer.ts';
import type { HandoverStage, PolicyHandoverTelemetry, StageOutcome } from '../observability/telemetry.ts';
import { withModel } from '../openai/members.ts';
import type { Decision } from '../router/decision.ts';
import type { Endpoint } from '../router/endpoint.ts';
import { RoutingError } from '../router/errors.ts';
import type { Outcome } from '../router/feedback.ts';
import type { RetryCause } from '../router/policy.ts';
import { callSpan, endCallSpan } from './call-span.ts';
import type { ExchangeContext } from './context.ts';
import { Bodies } from './handover/bodies.ts';
import { isTransferable } from './handover/eligible.ts';
import { leaderLines } from './handover/leader-lines.ts';
import { readableTime, Transfer, type TransferOwner } from './handover/transfer.ts';
import type { Inbound } from './inbound.ts';
import type { TimeLimits } from './time-limits.ts';
import type { UpstreamExchange, UpstreamHandler } from './upstream/client.ts';

/** The exchange that a try is made for; it hears the answer. */
export interface TryOwner extends TransferOwner {
  readonly context: ExchangeContext;
  readonly inbound: Inbound;
  readonly telemetry: PolicyHandoverTelemetry;
  readonly limits: TimeLimits;
}

/**
 * One decision on a request and the calls that follow from it: of one engine or, where the router hands over itself,
 * of a prefiller and then a decoder.
 */
export class Try {
  readonly decision: Decision;
  /** The engine that is being asked. */
  asked: Endpoint;
  /** By when it must have begun to answer, in milliseconds of the clock. */
  deadline: number;
  private readonly owner: TryOwner;
  private readonly firstByteDeadline: number;
  private transfer: Transfer | null;
  /** What the call under way is in the hand-over; null where there is none, or it has ended. */
  private stage: HandoverStage | null = null;
  private upstream: UpstreamExchange | null = null;
  /** Of the call under way, where requests are traced. */
  private span: Span | null = null;
  private status = 0;

  /** `transfer` is that of an earlier try, whose blocks are still to be read. */
  constructor(owner: TryOwner, decision: Decision, transfer: Transfer | null) {
    this.owner = owner;
    this.transfer = transfer;
    const { inbound, limits, context } = owner;
    const { handover } = decision;
    const isAlone = handover?.by === 'Router' && !isTransferable(inbound.path, inbound.payload);
    // The prefiller has no part in it, and is not to be named in the answer.
    this.decision = isAlone ? { ...decision, handover: null } : decision;
    if (isAlone) decision.reservation.prefilled();
    this.asked = decision.endpoint;
    this.firstByteDeadline = limits.firstByte(context.clock.now());
    this.deadline = this.firstByteDeadline;
  }

  /** Makes the first call. Throws RoutingError for what cannot be sent. */
  begin(): void {
    const { decision, owner } = this;
    const { handover, endpoint, backend } = decision;
    if (this.transfer !== null) this.askDecoder();
    else if (handover?.by === 'Router') this.askPrefiller(handover.prefill, handover.stages.prefill);
    else {
      const { bytes } = owner.inbound.payload;
      this.call(endpoint, backend.rewriteModel === null ? bytes : withModel(bytes, backend.rewriteModel), owner);
    }
  }

  /** The prompt is computed: makes the second call. Throws RoutingError for what cannot be sent. */
  askDecoder(): void {
    const { transfer, decision, owner } = this;
    if (transfer === null) return;
    decision.reservation.prefilled();
    this.stage = 'decode';
    this.limit(owner.inbound.payload.stream ? (decision.handover?.stages.decode ?? 0) : 0);
    this.call(decision.endpoint, transfer.decodeBody(), owner);
  }

  /** Whether it is the prompt that is waited for. */
  get prefilling(): boolean {
    return this.stage === 'prefill';
  }

  /** The prefiller whose blocks are being read; null where nothing is read, or has been. */
  get readFrom(): Endpoint | null {
    return this.stage === 'decode' ? (this.transfer?.prefill ?? null) : null;
  }

  /** The transfer whose blocks another decoder can read: this one, which was not reached, has not touched them. */
  stillReadable(cause: RetryCause): Transfer | null {
    const { transfer } = this;
    if (cause !== 'ConnectFailure' || this.stage !== 'decode' || transfer === null) return null;
    return this.owner.context.clock.now() < transfer.readableUntil ? transfer : null;
  }

  /** The call under way is being answered. */
  answered(status: number): void {
    this.status = status;
  }

  /**
   * The first byte of an answer; `isRead` where it shows that the blocks have been read, `isToken` where it is the first
   * token's.
   */
  firstByte(isRead: boolean, isToken: boolean): void {
    this.decision.reservation.firstByte();
    if (isRead) this.transfer?.read();
    if (isToken && this.span !== null) this.span.event('first_token', this.owner.context.clock.now());
  }

  /** Ends the call under way. */
  abort(): void {
    this.upstream?.abort();
  }

  resume(): void {
    this.upstream?.resume();
  }

  /** Tells passive health how the engine that is asked has done. */
  report(outcome: Outcome): void {
    this.owner.context.feedback.report(this.asked.slot, outcome);
  }

  /** The engine that is asked is at fault. */
  failed(outcome: Exclude<Outcome, 'ok'>): void {
    this.report(outcome);
    this.endStage(outcome === 'server_error' ? 'refused' : outcome);
  }

  /** A call has ended; counts once. */
  endStage(outcome: StageOutcome): void {
    const { stage, span, owner } = this;
    if (stage !== null) owner.telemetry.stageEnded(stage, outcome);
    this.stage = null;
    if (span === null) return;
    const status = stage === 'prefill' ? (this.transfer?.status ?? 0) : this.status;
    endCallSpan(span, outcome, status, owner.context.clock.now());
    this.span = null;
  }

  /** Gives back what it holds, but for the blocks. */
  release(): void {
    this.decision.reservation.release();
  }

  /** Nobody will read the blocks any more. */
  dropTransfer(): void {
    if (this.transfer?.close() === true) this.owner.telemetry.abandoned();
    this.transfer = null;
  }

  private askPrefiller(prefill: Endpoint, limit: number): void {
    const { owner, decision } = this;
    const { context, inbound } = owner;
    const bodies = new Bodies(inbound.payload.bytes, decision.backend.rewriteModel);
    const hold = context.aborts.open(prefill, inbound.headers.requestId);
    const transfer = new Transfer(owner, prefill, { hold, bodies, clock: context.clock });
    this.transfer = transfer;
    this.stage = 'prefill';
    this.limit(limit);
    this.call(prefill, transfer.prefillBody(), transfer);
  }

  /** A stage has so many milliseconds; 0 is no limit. */
  private limit(milliseconds: number): void {
    const stage = milliseconds === 0 ? Infinity : this.owner.context.clock.now() + milliseconds;
    this.deadline = Math.min(this.firstByteDeadline, stage);
  }

  /** A decoder that is reached too late would read blocks that are another request's by then. */
  private connectTimeout(): number {
    const { connect } = this.owner.inbound.policy.timeouts;
    if (this.stage !== 'decode') return connect;
    return connect === 0 ? readableTime : Math.min(connect, readableTime);
  }

  private call(endpoint: Endpoint, body: Buffer, handler: UpstreamHandler): void {
    const { decision, owner } = this;
    const { context, inbound } = owner;
    const { connection } = decision.backend.group;
    let lines = inbound.headers.linesFor(connection.apiKey, connection.forwardAuthorization);
    if (decision.handover !== null) lines += leaderLines(inbound.policy, decision);
    const span = this.beginSpan(endpoint);
    if (span !== null) lines += span.headers;
    const request = {
      method: 'POST',
      path: inbound.path + inbound.query,
      headers: lines,
      body,
      connectTimeout: this.connectTimeout(),
    };
    this.asked = endpoint;
    try {
      this.upstream = context.upstream.dispatch(context.targets.of(endpoint, connection), request, handler);
    } catch (cause) {
      if (this.prefilling) this.transfer?.cancelled();
      this.stage = null;
      this.endStage('unusable');
      // The client refuses what an engine could read as two requests.
      const message = 'the query or a header of the request cannot be passed on';
      throw new RoutingError('invalid_value', message, { source: 'client', cause });
    }
  }

  /** Null where requests are not traced. */
  private beginSpan(endpoint: Endpoint): Span | null {
    const { decision, owner, stage } = this;
    const parent = owner.inbound.trail?.span ?? null;
    if (parent === null) return null;
    const { name } = decision.backend.group;
    this.status = 0;
    this.span = callSpan(parent, {
      endpoint,
      group: name,
      path: owner.inbound.path,
      stage,
      at: owner.context.clock.now(),
    });
    return this.span;
  }
}
