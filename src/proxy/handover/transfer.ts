import type { PolicyHandoverTelemetry } from '../../observability/telemetry.ts';
import { isSuccess } from '../../openai/answers.ts';
import type { Clock } from '../../router/clock.ts';
import type { Endpoint } from '../../router/endpoint.ts';
import type { UpstreamError, UpstreamHandler } from '../upstream/client.ts';
import type { BlockHold } from './abort-book.ts';
import type { Bodies } from './bodies.ts';
import { PrefillAnswer, UnusableAnswer } from './prefill-answer.ts';

/**
 * Milliseconds after a prefiller's answer within which a decoder may be sent for the blocks: a third of NIXL's lease,
 * after which the prefiller gives the blocks to another request and the decoder reads that one's without an error.
 */
export const readableTime = 10_000;

/** What a transfer is made of. */
export interface TransferParts {
  readonly hold: BlockHold;
  readonly bodies: Bodies;
  readonly clock: Clock;
}

/** Who has ordered a prompt. An answer other than 2xx is no prompt but an answer for the client, and goes to it whole. */
export interface TransferOwner extends UpstreamHandler {
  readonly telemetry: PolicyHandoverTelemetry;
  /** The prompt is computed: the decoder can be asked. */
  onPrefilled(): void;
  /** The prefiller has answered something that no decoder could use. */
  onUnusable(error: UnusableAnswer): void;
}

/**
 * A request's prompt on its way from a prefiller to a decoder: hears the prefiller's answer, and knows what is kept
 * there until the decoder has read it.
 */
export class Transfer implements UpstreamHandler {
  readonly prefill: Endpoint;
  /** By when a decoder must have been sent for the blocks, in milliseconds of the clock. */
  readableUntil = 0;
  /** Status of the prefiller's answer; 0 before there is one. */
  status = 0;
  private readonly owner: TransferOwner;
  private readonly clock: Clock;
  private readonly hold: BlockHold;
  private readonly bodies: Bodies;
  private answer: PrefillAnswer | null = null;
  private params: Buffer | null = null;
  /** Whether the prefiller may be keeping blocks that nobody has read: from the call on, whose answer may get lost. */
  private unread = true;

  constructor(owner: TransferOwner, prefill: Endpoint, parts: TransferParts) {
    this.owner = owner;
    this.prefill = prefill;
    this.hold = parts.hold;
    this.bodies = parts.bodies;
    this.clock = parts.clock;
  }

  prefillBody(): Buffer {
    return this.bodies.prefill(this.hold.notices);
  }

  decodeBody(): Buffer {
    return this.bodies.decode(this.params);
  }

  onHead(status: number, headers: readonly string[]): void {
    this.status = status;
    if (isSuccess(status)) {
      this.answer = new PrefillAnswer();
      const told = this.hold.delivered();
      if (told > 0) this.owner.telemetry.noticed(told);
      return;
    }
    this.unread = false;
    this.owner.onHead(status, headers);
  }

  onData(chunk: Buffer): boolean {
    const { answer } = this;
    if (answer === null) return this.owner.onData(chunk);
    try {
      answer.push(chunk);
    } catch (error) {
      this.refuse(error);
    }
    return true;
  }

  onEnd(): void {
    if (this.answer === null) {
      this.owner.onEnd();
      return;
    }
    try {
      this.params = this.answer.params();
    } catch (error) {
      this.refuse(error);
      return;
    }
    this.unread = this.params !== null;
    this.readableUntil = this.clock.now() + readableTime;
    this.owner.onPrefilled();
  }

  onError(error: UpstreamError): void {
    if (error.isUnreached) this.unread = false;
    this.owner.onError(error);
  }

  /** The call was never made. */
  cancelled(): void {
    this.unread = false;
  }

  /** The decoder has answered: it has read the blocks. */
  read(): void {
    this.unread = false;
    this.close();
  }

  /** Nobody reads any more. Returns whether blocks are left that the prefiller is to be told of. */
  close(): boolean {
    const { unread } = this;
    this.hold.close(unread);
    this.unread = false;
    return unread;
  }

  private refuse(error: unknown): void {
    if (!(error instanceof UnusableAnswer)) throw error;
    this.owner.onUnusable(error);
  }
}
