import { errorText } from '../observability/log.ts';
import { firstAttempt, type Attempts, type Decision } from '../router/decision.ts';
import type { Endpoint } from '../router/endpoint.ts';
import { RoutingError, type RoutingErrorCode } from '../router/errors.ts';
import type { Outcome } from '../router/feedback.ts';
import type { Foreknowledge } from '../router/foreknowledge.ts';
import type { RetryCause, RoutingPolicy } from '../router/policy.ts';
import type { PolicyTelemetry } from '../observability/telemetry.ts';
import { statusOf } from '../openai/answers.ts';
import { sendError } from './send.ts';
import { AnswerTooLarge, ClientAnswer } from './client-answer.ts';
import { debugHeaders } from '../openai/debug-headers.ts';
import type { Timed } from '../router/deadlines.ts';
import { withModel } from '../openai/members.ts';
import type { ExchangeContext } from './context.ts';
import type { Response, ResponseListener } from './http/response.ts';
import type { Payload } from '../openai/payload.ts';
import type { RequestHeaders } from './request-headers.ts';
import { noUsage } from '../openai/usage.ts';
import type { UpstreamError, UpstreamExchange, UpstreamHandler } from './upstream/client.ts';

/** Milliseconds a client has to take the last event of a broken stream. */
const farewell = 5000;

/** What the front door has read of a request. */
export interface Inbound {
  readonly response: Response;
  readonly headers: RequestHeaders;
  readonly payload: Payload;
  /** The path that engines know, and the client's query with its question mark. */
  readonly path: string;
  readonly query: string;
  readonly model: string;
  readonly policy: RoutingPolicy;
  readonly known: Foreknowledge;
  /** When the request came, in milliseconds of the clock. */
  readonly startedAt: number;
}

/**
 * One request from its decision to the end of its answer: tries endpoints until a byte of an answer has gone to the
 * client, then passes the answer on, and gives back what it holds however it ends.
 */
export class Exchange implements UpstreamHandler, ResponseListener, Timed {
  deadline = Infinity;
  place = -1;
  private readonly context: ExchangeContext;
  private readonly inbound: Inbound;
  private readonly telemetry: PolicyTelemetry;
  private readonly hardDeadline: number;
  private tried: Endpoint[] | null = null;
  private decision: Decision | null = null;
  private upstream: UpstreamExchange | null = null;
  private answer: ClientAnswer | null = null;
  private resets = 0;
  private status = 0;
  private firstByteAt = -1;
  private decisionMicroseconds = 0;
  private paused = false;
  private done = false;

  constructor(context: ExchangeContext, inbound: Inbound) {
    this.context = context;
    this.inbound = inbound;
    this.telemetry = context.telemetry.policy(inbound.policy.key);
    const { timeouts } = inbound.policy;
    const whole = earliest(timeouts.request, inbound.payload.stream ? 0 : timeouts.nonStreaming);
    this.hardDeadline = whole === 0 ? Infinity : inbound.startedAt + whole;
  }

  start(): void {
    this.telemetry.started();
    this.context.budgetOf(this.inbound.policy).request(this.inbound.startedAt);
    this.context.deadlines.add(this);
    this.inbound.response.listener = this;
    this.try(firstAttempt);
  }

  /** The router stops before the answer is complete. */
  cut(): void {
    if (this.done) return;
    this.upstream?.abort();
    const message = 'the router is stopping; send the request again';
    if (this.answer?.begun === true) this.breakOff('upstream_reset', message);
    else this.fail('overloaded', message);
  }

  /** The client has left: the engine's work is cancelled. */
  onClose(): void {
    if (this.done) return;
    this.upstream?.abort();
    this.finish(499, true);
  }

  onHead(status: number, headers: readonly string[]): void {
    const { inbound, decision, context } = this;
    if (decision === null) return;
    this.status = status;
    if (status === 503 && this.retry('Unavailable', 'server_error')) return;
    const { rewriteModel } = decision.backend;
    this.answer = new ClientAnswer(inbound.response, status, headers, {
      requestId: inbound.headers.requestId,
      debug: this.explains() ? debugHeaders(decision, inbound.policy) : [],
      rename: rewriteModel === null ? null : { engine: rewriteModel, asked: inbound.model },
      close: context.draining(),
    });
  }

  onData(chunk: Buffer): boolean {
    const { answer } = this;
    if (answer === null) return true;
    if (this.firstByteAt < 0) this.firstByte();
    let flowing: boolean;
    try {
      flowing = answer.write(chunk);
    } catch (error) {
      this.upstream?.abort();
      const large = error instanceof AnswerTooLarge;
      const message = large
        ? 'the answer is larger than the router holds to change its model name'
        : "the engine's answer cannot be passed on";
      this.fail('upstream_unreachable', message, error);
      return true;
    }
    this.touch();
    if (!flowing) this.pause();
    return flowing;
  }

  onEnd(): void {
    if (this.answer === null) return;
    if (this.firstByteAt < 0) this.firstByte();
    this.report(this.status >= 500 ? 'server_error' : 'ok');
    this.answer.end();
    this.finish(this.status, false);
  }

  onError(error: UpstreamError): void {
    if (this.answer?.begun === true) {
      this.report('reset');
      this.breakOff('upstream_reset', 'the engine failed in the middle of its answer');
      return;
    }
    if (error.failure === 'connect' || error.failure === 'connect_timeout') {
      if (this.retry('ConnectFailure', 'connect_failure')) return;
      this.report('connect_failure');
      this.fail('upstream_unreachable', 'no engine could be reached', error);
      return;
    }
    this.resets += 1;
    if (this.retry('Reset', 'reset')) return;
    this.report('reset');
    this.fail('upstream_unreachable', 'the engine closed the connection without an answer', error);
  }

  timeOut(): void {
    if (this.done) {
      this.inbound.response.destroy();
      this.context.deadlines.delete(this);
      return;
    }
    this.upstream?.abort();
    const { timeouts } = this.inbound.policy;
    if (this.answer?.begun === true) {
      // A client that does not read is not the engine's fault.
      if (!this.paused) this.report('timeout');
      this.breakOff(
        'upstream_timeout',
        `the stream was silent for ${timeouts.streamIdle} ms or longer than the policy allows`,
      );
      return;
    }
    if (this.deadline < this.hardDeadline && this.retry('Timeout', 'timeout')) return;
    this.report('timeout');
    this.fail('upstream_timeout', 'the engine did not answer within the time that the policy allows');
  }

  private try(attempts: Attempts): void {
    try {
      this.decide(attempts);
    } catch (error) {
      if (error instanceof RoutingError) {
        this.fail(error.code, error.message, error);
        return;
      }
      // A plugin that throws costs this request its answer, not the router its books.
      this.context.log.error('a decision failed', { policy: this.inbound.policy.key, error: errorText(error) });
      this.fail('internal_error', 'the router has failed on this request', error);
    }
  }

  /** Decides, reserves and sends. */
  private decide(attempts: Attempts): void {
    const { context, inbound } = this;
    const { scratch } = context;
    const { payload, model, headers, known } = inbound;
    scratch.describe(payload, { model, headers, known, requestId: headers.requestId });
    const before = context.clock.now();
    const explained = this.explains() ? { ...attempts, explain: true } : attempts;
    this.decision = context.router.decide(inbound.policy, scratch, explained);
    this.decisionMicroseconds = (context.clock.now() - before) * 1000;
    if (this.decision !== null) this.send(this.decision);
    else if (this.tried !== null) this.fail('upstream_unreachable', 'every engine that was tried has failed');
    else this.fail('no_ready_endpoint', 'no engine is ready for this model; try again soon');
  }

  private send({ backend, endpoint }: Decision): void {
    const { context, inbound } = this;
    const { connection } = backend.group;
    const { timeouts } = inbound.policy;
    const { bytes } = inbound.payload;
    this.answer = null;
    this.firstByteAt = -1;
    this.deadline = this.hardDeadline;
    if (inbound.payload.stream && timeouts.firstByte > 0) {
      this.deadline = Math.min(this.hardDeadline, context.clock.now() + timeouts.firstByte);
    }
    const request = {
      method: 'POST',
      path: inbound.path + inbound.query,
      headers: inbound.headers.linesFor(connection.apiKey, connection.forwardAuthorization),
      body: backend.rewriteModel === null ? bytes : withModel(bytes, backend.rewriteModel),
      connectTimeout: timeouts.connect,
    };
    try {
      this.upstream = context.upstream.dispatch(context.targets.of(endpoint, connection), request, this);
    } catch (error) {
      // The client refuses what an engine could read as two requests.
      this.fail('invalid_value', 'the query or a header of the request cannot be passed on', error);
    }
  }

  /** Moves to another endpoint if the policy allows it; false when this failure is the client's to see. */
  private retry(cause: RetryCause, outcome: Outcome): boolean {
    const { decision } = this;
    if (decision === null) return false;
    const tried = [...(this.tried ?? []), decision.endpoint];
    if (!this.mayRetry(cause, tried)) return false;
    this.report(outcome);
    this.upstream?.abort();
    decision.reservation.release();
    this.tried = tried;
    this.telemetry.retried();
    this.try({ ...firstAttempt, tried, backend: decision.backend });
    return true;
  }

  private mayRetry(cause: RetryCause, tried: readonly Endpoint[]): boolean {
    const { context, inbound } = this;
    const { retries } = inbound.policy;
    if (tried.length > retries.attempts || !retries.on.includes(cause)) return false;
    // A prompt that kills two engines must not meet a third.
    if (cause === 'Reset' && this.resets > 1) return false;
    if (!context.router.hasOther(inbound.policy, tried)) return false;
    if (cause === 'ConnectFailure') return true;
    return context.budgetOf(inbound.policy).take(context.clock.now(), retries.budget);
  }

  /** Nothing has been sent: the whole answer is an error. */
  private fail(code: RoutingErrorCode, message: string, cause?: unknown): void {
    if (this.done) return;
    const { response, headers } = this.inbound;
    const source = code === 'invalid_value' ? 'client' : 'backend';
    const error = new RoutingError(code, message, { source, retryable: source === 'backend', cause });
    const head = ['x-request-id', headers.requestId];
    if (this.resets > 1) head.push('x-should-retry', 'false');
    this.finish(statusOf(code), true);
    if (!response.headersSent) sendError(response, error, head);
    else response.destroy();
  }

  /** Something has been sent: the stream ends with an error event and without its proper end. */
  private breakOff(code: RoutingErrorCode, message: string): void {
    this.finish(this.status, true);
    this.answer?.breakOff(new RoutingError(code, message, { source: 'backend', retryable: true }), this.inbound.path);
    this.deadline = this.context.clock.now() + farewell;
    this.context.deadlines.add(this);
  }

  private finish(status: number, broken: boolean): void {
    if (this.done) return;
    this.done = true;
    const { context, decision, inbound } = this;
    context.deadlines.delete(this);
    decision?.reservation.release();
    const { startedAt } = inbound;
    const { promptTokens, completionTokens, cachedTokens } = this.answer?.usage.read() ?? noUsage;
    if (promptTokens > 0) this.learn(cachedTokens < 0 ? null : cachedTokens / promptTokens);
    this.telemetry.finished({
      group: decision === null ? '' : decision.backend.group.name,
      status,
      broken,
      duration: context.clock.now() - startedAt,
      timeToFirstToken: this.timeToFirstToken(),
      decisionMicroseconds: this.decisionMicroseconds,
      estimatedTokens: decision === null ? 0 : decision.promptTokens,
      estimatedCached: decision === null ? 0 : decision.cachedTokens,
      promptTokens,
      completionTokens,
      cachedTokens,
    });
    context.ended(inbound.payload.bytes.length);
  }

  /** Tells the prefix source what share of the prompt the engine says it had cached. */
  private learn(cached: number | null): void {
    const { decision } = this;
    if (decision === null || this.inbound.policy.profile?.parts.readsHits !== true) return;
    const { backend, endpoint, cachedTokens, promptTokens } = decision;
    backend.group.prefixSource.answered(endpoint.slot, cachedTokens / promptTokens, cached);
  }

  /** Only a stream's first byte is its first token; milliseconds, or -1. */
  private timeToFirstToken(): number {
    if (this.firstByteAt < 0 || this.answer?.isStream !== true) return -1;
    return this.firstByteAt - this.inbound.startedAt;
  }

  private firstByte(): void {
    this.firstByteAt = this.context.clock.now();
    this.decision?.reservation.firstByte();
  }

  private report(outcome: Outcome): void {
    if (this.decision !== null) this.context.feedback.report(this.decision.endpoint.slot, outcome);
  }

  /** The client is slower than the engine: nothing more is read until it has caught up. */
  private pause(): void {
    this.paused = true;
  }

  /** The client has caught up. */
  onDrain(): void {
    if (!this.paused) return;
    this.paused = false;
    this.touch();
    this.upstream?.resume();
  }

  /** Moves the idle deadline of a stream on; one assignment a chunk. */
  private touch(): void {
    const { streamIdle } = this.inbound.policy.timeouts;
    if (this.answer?.isStream !== true || streamIdle === 0) this.deadline = this.hardDeadline;
    else this.deadline = Math.min(this.hardDeadline, this.context.deadlines.coarseNow + streamIdle);
  }

  private explains(): boolean {
    return this.inbound.headers.debug && this.inbound.policy.debugHeaders;
  }
}

/** The shorter of two limits, where 0 is none. */
function earliest(a: number, b: number): number {
  if (a === 0) return b;
  return b === 0 ? a : Math.min(a, b);
}
