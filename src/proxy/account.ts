import type { PolicyHandoverTelemetry } from '../observability/telemetry.ts';
import { noUsage } from '../openai/usage.ts';
import { decisionAttributes } from '../openai/decision-attributes.ts';
import type { Decision } from '../router/decision.ts';
import { readsHits } from '../router/profiles.ts';
import type { ClientAnswer } from './client-answer.ts';
import type { ExchangeContext } from './context.ts';
import type { Inbound } from './inbound.ts';

/** What is told of a request that was never decided on. */
const undecided = { backend: { group: { name: '' } }, promptTokens: 0, cachedTokens: 0 };

/** What one request has been through, told to metrics, to prefix sources, and to whoever follows single requests. */
export class Account {
  readonly telemetry: PolicyHandoverTelemetry;
  /** Milliseconds of the clock; -1 while the try under way has answered nothing. */
  firstByteAt = -1;
  private readonly context: ExchangeContext;
  private readonly inbound: Inbound;
  private decisionMicroseconds = 0;
  private decisions = 0;
  private retries = 0;

  constructor(context: ExchangeContext, inbound: Inbound) {
    this.context = context;
    this.inbound = inbound;
    this.telemetry = context.telemetry.policy(inbound.policy.key);
  }

  /** Whether the scores of decisions are wanted. */
  get wantsScores(): boolean {
    const { trail } = this.inbound;
    return trail !== null && trail.recording;
  }

  /** A decision has been made, from `before` until now, in milliseconds of the clock. */
  decided(decision: Decision | null, before: number): void {
    const after = this.context.clock.now();
    this.decisionMicroseconds = (after - before) * 1000;
    this.decisions += 1;
    if (!this.wantsScores) return;
    const { trail, policy } = this.inbound;
    const span = trail?.span?.child('decision', 'internal', before);
    span?.set(decisionAttributes(policy, decision, this.decisions));
    if (decision === null) span?.end(after, 'no_ready_endpoint');
    else span?.end(after);
  }

  retried(): void {
    this.retries += 1;
    this.telemetry.retried();
  }

  firstByte(): void {
    this.firstByteAt = this.context.clock.now();
  }

  /**
   * The request is over: `status` is what the client got, 499 where it had left; `code` says why there is no whole answer.
   * `decision` is the last one; `answer` is what has come of one. Null where there is none.
   */
  finish(status: number, code: string | null, decision: Decision | null, answer: ClientAnswer | null): void {
    const { inbound, context } = this;
    const { promptTokens, completionTokens, cachedTokens } = answer?.usage.read() ?? noUsage;
    if (promptTokens > 0) this.learn(decision, cachedTokens < 0 ? null : cachedTokens / promptTokens);
    const told = decision ?? undecided;
    const timeToFirstToken = this.timeToFirstToken(answer);
    const { decisionMicroseconds } = this;
    this.telemetry.finished({
      group: told.backend.group.name,
      status,
      broken: code !== null,
      duration: context.clock.now() - inbound.startedAt,
      timeToFirstToken,
      decisionMicroseconds,
      estimatedTokens: told.promptTokens,
      estimatedCached: told.cachedTokens,
      promptTokens,
      completionTokens,
      cachedTokens,
    });
    if (inbound.trail === null) return;
    const usage = { promptTokens, completionTokens, cachedTokens };
    const times = { timeToFirstToken, decisionMicroseconds };
    inbound.trail.end({ status, code, ...placeOf(decision), retries: this.retries, ...times, ...usage });
  }

  /** Tells the prefix source what share of the prompt the engine says it had cached. */
  private learn(decision: Decision | null, cached: number | null): void {
    if (decision === null || !readsHits(this.inbound.policy, decision.backend.group)) return;
    const { backend, endpoint, handover, cachedTokens, promptTokens } = decision;
    // A decoder repeats what its prefiller has told.
    const { slot } = handover === null ? endpoint : handover.prefill;
    backend.group.prefixSource.answered(slot, cachedTokens / promptTokens, cached);
  }

  /** Only a stream's first byte is its first token; milliseconds, or -1. */
  private timeToFirstToken(answer: ClientAnswer | null): number {
    if (this.firstByteAt < 0 || answer?.isStream !== true) return -1;
    return this.firstByteAt - this.inbound.startedAt;
  }
}

function placeOf(decision: Decision | null) {
  return {
    group: decision === null ? null : decision.backend.group.name,
    endpoint: decision === null ? null : decision.endpoint.name,
    prefillEndpoint: decision?.handover?.prefill.name ?? null,
  };
}
