import { errorText } from '../observability/log.ts';
import type { PolicyHandoverTelemetry } from '../observability/telemetry.ts';
import { isSuccess, statusOf } from '../openai/answers.ts';
import { debugHeaders } from '../openai/debug-headers.ts';
import type { Timed } from '../router/deadlines.ts';
import { firstAttempt, type Attempts, type Decision } from '../router/decision.ts';
import type { Endpoint } from '../router/endpoint.ts';
import { RoutingError, type RoutingErrorCode } from '../router/errors.ts';
import type { Outcome } from '../router/feedback.ts';
import type { RetryCause } from '../router/policy.ts';
import { Account } from './account.ts';
import { AnswerTooLarge, ClientAnswer } from './client-answer.ts';
import type { ExchangeContext } from './context.ts';
import { lengthOfRole } from './handover/opening.ts';
import type { UnusableAnswer } from './handover/prefill-answer.ts';
import type { Transfer } from './handover/transfer.ts';
import type { ResponseListener } from './http/response.ts';
import type { Inbound } from './inbound.ts';
import { sendError } from './send.ts';
import { beginsWithError } from './sse.ts';
import { TimeLimits } from './time-limits.ts';
import { Tries } from './tries.ts';
import { Try, type TryOwner } from './try.ts';
import type { UpstreamError } from './upstream/client.ts';

/** Milliseconds a client has to take the last event of a broken stream. */
const farewell = 5000;

/**
 * One request from its decision to the end of its answer: tries endpoints until a byte of an answer has gone to the
 * client, then passes the answer on, and gives back what it holds however it ends. Where the router hands over itself,
 * a try is two calls, of a prefiller and then of a decoder.
 */
export class Exchange implements TryOwner, ResponseListener, Timed {
  deadline = Infinity;
  place = -1;
  readonly context: ExchangeContext;
  readonly inbound: Inbound;
  readonly telemetry: PolicyHandoverTelemetry;
  readonly limits: TimeLimits;
  private readonly account: Account;
  private readonly tries: Tries;
  /** The try under way, or the last one. */
  private attempt: Try | null = null;
  private answer: ClientAnswer | null = null;
  /** A decoder's first event that says no more than who speaks: held back until the next one. */
  private opening: Buffer | null = null;
  private status = 0;
  private paused = false;
  private done = false;

  constructor(context: ExchangeContext, inbound: Inbound) {
    this.context = context;
    this.inbound = inbound;
    this.limits = new TimeLimits(inbound);
    this.tries = new Tries(context, inbound.policy);
    this.account = new Account(context, inbound);
    this.telemetry = this.account.telemetry;
  }

  start(): void {
    const { context, inbound } = this;
    this.telemetry.started();
    context.budgetOf(inbound.policy).request(inbound.startedAt);
    context.deadlines.add(this);
    inbound.response.listener = this;
    const { pair } = inbound;
    if (this.try(pair === null ? firstAttempt : { ...firstAttempt, pair })) return;
    // A named pair that cannot take the request is as good as none.
    if (pair !== null && this.try(firstAttempt)) return;
    this.fail('no_ready_endpoint', 'no engine is ready for this model; try again soon');
  }

  /** The router stops before the answer is complete. */
  cut(): void {
    if (this.done) return;
    this.attempt?.abort();
    this.attempt?.endStage('stopped');
    const message = 'the router is stopping; send the request again';
    if (this.answer?.begun === true) this.breakOff('upstream_reset', message);
    else this.fail('overloaded', message);
  }

  /** The client has left: the engine's work is cancelled. */
  onClose(): void {
    if (this.done) return;
    this.attempt?.abort();
    this.attempt?.endStage('client_left');
    this.finish(499, 'client_closed');
  }

  onPrefilled(): void {
    const { attempt } = this;
    if (attempt === null) return;
    attempt.report('ok');
    attempt.endStage('ok');
    try {
      attempt.askDecoder();
      this.deadline = attempt.deadline;
    } catch (error) {
      this.stumble(error);
    }
  }

  onUnusable(error: UnusableAnswer): void {
    this.attempt?.abort();
    this.attempt?.report('server_error');
    this.attempt?.endStage('unusable');
    this.fail('upstream_unreachable', `the prefill engine's answer cannot be used: ${error.message}`, error);
  }

  onHead(status: number, headers: readonly string[]): void {
    const { inbound, attempt, context } = this;
    if (attempt === null) return;
    const { decision } = attempt;
    this.status = status;
    attempt.answered(status);
    if (status === 503 && this.retry('Unavailable', 'server_error')) return;
    if (status === 500 && this.retryRead()) return;
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
    const bytes = this.account.firstByteAt < 0 ? this.begin(answer, chunk) : chunk;
    if (bytes === null) return true;
    let flowing: boolean;
    try {
      flowing = answer.write(bytes);
    } catch (error) {
      this.attempt?.abort();
      const large = error instanceof AnswerTooLarge;
      const message = large
        ? 'the answer is larger than the router holds to change its model name'
        : "the engine's answer cannot be passed on";
      this.attempt?.endStage('unusable');
      this.fail('upstream_unreachable', message, error);
      return true;
    }
    this.touch();
    if (!flowing) this.pause();
    return flowing;
  }

  onEnd(): void {
    if (this.answer === null) return;
    if (this.account.firstByteAt < 0) this.firstByte(true);
    if (this.opening !== null) this.answer.write(this.opening);
    this.attempt?.report(this.status >= 500 ? 'server_error' : 'ok');
    this.attempt?.endStage(isSuccess(this.status) ? 'ok' : 'refused');
    this.answer.end();
    this.finish(this.status, null);
  }

  onError(error: UpstreamError): void {
    if (this.answer?.begun === true) {
      this.attempt?.failed('reset');
      this.breakOff('upstream_reset', 'the engine failed in the middle of its answer');
      return;
    }
    const { isUnreached } = error;
    const outcome = isUnreached ? 'connect_failure' : 'reset';
    if (!isUnreached) this.tries.broke();
    if (this.retry(isUnreached ? 'ConnectFailure' : 'Reset', outcome)) return;
    this.attempt?.failed(outcome);
    const message = isUnreached ? 'no engine could be reached' : 'the engine closed the connection without an answer';
    this.fail('upstream_unreachable', message, error);
  }

  timeOut(): void {
    if (this.done) {
      this.inbound.response.destroy();
      this.context.deadlines.delete(this);
      return;
    }
    const { attempt } = this;
    if (attempt === null) return;
    attempt.abort();
    if (this.answer?.begun === true) {
      this.silence(attempt);
      return;
    }
    if (this.deadline < this.limits.whole && this.retry('Timeout', 'timeout')) return;
    const who = attempt.prefilling ? 'the prefill engine' : 'the engine';
    attempt.failed('timeout');
    this.fail('upstream_timeout', `${who} did not answer within the time that is allowed`);
  }

  /** An answer that has begun does not go on. */
  private silence(attempt: Try): void {
    // A client that does not read is not the engine's fault.
    if (!this.paused) attempt.report('timeout');
    attempt.endStage('timeout');
    const { streamIdle } = this.inbound.policy.timeouts;
    this.breakOff('upstream_timeout', `the stream was silent for ${streamIdle} ms or longer than the policy allows`);
  }

  /**
   * Decides and sends; false where no engine is left to send to. `transfer` is that of an earlier try, where only
   * another decoder is wanted.
   */
  private try(attempts: Attempts, transfer: Transfer | null = null): boolean {
    try {
      const decision = this.decide(attempts);
      if (decision === null) return false;
      const attempt = new Try(this, decision, transfer);
      this.attempt = attempt;
      this.answer = null;
      this.opening = null;
      this.account.firstByteAt = -1;
      attempt.begin();
      this.deadline = attempt.deadline;
    } catch (error) {
      this.stumble(error);
    }
    return true;
  }

  private decide(attempts: Attempts): Decision | null {
    const { context, inbound } = this;
    const { scratch } = context;
    const { payload, model, headers, known } = inbound;
    scratch.describe(payload, { model, headers, known, requestId: headers.requestId });
    const before = context.clock.now();
    const explained = this.explains() || this.account.wantsScores ? { ...attempts, explain: true } : attempts;
    const decision = context.router.decide(inbound.policy, scratch, explained);
    this.account.decided(decision, before);
    return decision;
  }

  /** A decision or a call could not even be made. */
  private stumble(error: unknown): void {
    if (error instanceof RoutingError) {
      this.fail(error.code, error.message, error);
      return;
    }
    // A plugin that throws costs this request its answer, not the router its books.
    const { policy, headers } = this.inbound;
    const { requestId } = headers;
    this.context.log.error('a decision failed', { requestId, policy: policy.key, error: errorText(error) });
    this.fail('internal_error', 'the router has failed on this request', error);
  }

  /** Moves to another endpoint if the policy allows it; false when this failure is the client's to see. */
  private retry(cause: RetryCause, outcome: Exclude<Outcome, 'ok'>, culprits?: readonly Endpoint[]): boolean {
    const { attempt, tries } = this;
    if (attempt === null || !tries.allows(cause)) return false;
    const transfer = attempt.stillReadable(cause);
    const failed = culprits ?? [attempt.asked];
    if (transfer === null && !tries.findOther(cause, failed)) return false;
    attempt.failed(outcome);
    attempt.abort();
    attempt.release();
    const again = { ...firstAttempt, tried: tries.add(failed), backend: attempt.decision.backend };
    if (this.tryAgain(again, transfer)) this.account.retried();
    else this.fail('upstream_unreachable', 'every engine that was tried has failed');
    return true;
  }

  /**
   * A decoder could not read the prompt. So shows, too, that a prefiller has died since: either is to blame, and the
   * prefiller alone where there is no pair without both.
   */
  private retryRead(): boolean {
    const { attempt } = this;
    const prefill = attempt?.readFrom ?? null;
    if (attempt === null || prefill === null) return false;
    this.tries.broke();
    const { asked } = attempt;
    return this.retry('Reset', 'server_error', [prefill, asked]) || this.retry('Reset', 'server_error', [prefill]);
  }

  /** On another decoder for the same blocks where there is one, else from the beginning. */
  private tryAgain(attempts: Attempts, transfer: Transfer | null): boolean {
    if (transfer !== null && this.try({ ...attempts, prefilled: transfer.prefill }, transfer)) return true;
    this.attempt?.dropTransfer();
    return this.try(attempts);
  }

  /** Nothing has been sent: the whole answer is an error. */
  private fail(code: RoutingErrorCode, message: string, cause?: unknown): void {
    if (this.done) return;
    const { response, headers } = this.inbound;
    const source = code === 'invalid_value' ? 'client' : 'backend';
    const error = new RoutingError(code, message, { source, retryable: source === 'backend', cause });
    if (statusOf(code) > 500) this.complain('a request failed', code, message);
    const head = ['x-request-id', headers.requestId];
    if (this.tries.isPoisonous) head.push('x-should-retry', 'false');
    this.finish(statusOf(code), code);
    if (!response.headersSent) sendError(response, error, head);
    else response.destroy();
  }

  /** Something has been sent: the stream ends with an error event and without its proper end. */
  private breakOff(code: RoutingErrorCode, message: string): void {
    this.complain('an answer broke off', code, message);
    this.finish(this.status, code);
    this.answer?.breakOff(new RoutingError(code, message, { source: 'backend', retryable: true }), this.inbound.path);
    this.deadline = this.context.clock.now() + farewell;
    this.context.deadlines.add(this);
  }

  private complain(what: string, code: RoutingErrorCode, error: string): void {
    const { attempt, inbound, context } = this;
    const { requestId } = inbound.headers;
    context.log.warn(what, { requestId, policy: inbound.policy.key, endpoint: attempt?.asked.name, code, error });
  }

  /** `code` says why there is no whole answer; null where there is one. */
  private finish(status: number, code: RoutingErrorCode | null): void {
    if (this.done) return;
    this.done = true;
    const { context, attempt, inbound, answer } = this;
    context.deadlines.delete(this);
    attempt?.release();
    attempt?.dropTransfer();
    this.account.finish(status, code, attempt === null ? null : attempt.decision, answer);
    context.ended(inbound.payload.bytes.length);
  }

  /** The first bytes of an answer have come: what is to be passed on; null where that is nothing yet, or another try. */
  private begin(answer: ClientAnswer, chunk: Buffer): Buffer | null {
    if (answer.isStream && this.attempt?.readFrom !== null) return this.beginReading(chunk);
    this.firstByte(true);
    return chunk;
  }

  /** The same of a decoder's stream, which begins before the blocks are there. */
  private beginReading(chunk: Buffer): Buffer | null {
    const bytes = this.opening === null ? chunk : Buffer.concat([this.opening, chunk]);
    const role = lengthOfRole(bytes);
    this.opening = role > 0 && role === bytes.length ? bytes : null;
    if (this.opening !== null) return null;
    const isError = beginsWithError(bytes.subarray(role));
    if (isError && this.retryRead()) return null;
    this.firstByte(!isError);
    return bytes;
  }

  /** What a decoder refuses it may not have read. */
  private firstByte(isGood: boolean): void {
    this.account.firstByte();
    this.attempt?.firstByte(isGood && isSuccess(this.status), this.answer?.isStream === true);
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
    this.attempt?.resume();
  }

  /** Moves the idle deadline of a stream on; one assignment a chunk. */
  private touch(): void {
    const { limits, context } = this;
    this.deadline = this.answer?.isStream === true ? limits.nextEvent(context.deadlines.coarseNow) : limits.whole;
  }

  private explains(): boolean {
    return this.inbound.headers.debug && this.inbound.policy.debugHeaders;
  }
}
