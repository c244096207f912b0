import { RoutingError } from '../router/errors.ts';
import type { BodySink, ClientRequest } from './http/connection.ts';

/** Bounds of what the proxy holds in memory. */
export interface BodyLimits {
  /** Bytes of one body. */
  readonly maxBody: number;
  /** Bytes of all bodies that are held at a time. */
  readonly maxBuffered: number;
}

/** Gets a body, or why there is none; called once. */
export type BodyTaker = (error: RoutingError | null, body: Buffer) => void;

/** Bytes of all bodies that are held now. */
export class BodyBudget {
  readonly limits: BodyLimits;
  held = 0;

  constructor(limits: BodyLimits) {
    this.limits = limits;
  }

  /**
   * Reads a body to its end and calls back once, with the bytes (which count as held until `release`) or with an
   * error; a client that leaves before the end gets no call.
   */
  read(request: ClientRequest, done: BodyTaker): void {
    const announced = request.head.contentLength;
    if (announced > this.limits.maxBody) done(tooLarge(this.limits.maxBody), empty);
    else request.receive(new BodyReader(this, announced, done));
  }

  release(bytes: number): void {
    this.held -= bytes;
  }
}

const empty = Buffer.alloc(0);
/** Bytes that are allocated on an announcement alone. */
const trusted = 64 * 1024;
/** Bytes that are allocated for a body of unknown length. */
const firstPiece = 4096;

/** One body on its way in; its pieces are copied to where they are to stay. */
class BodyReader implements BodySink {
  private readonly budget: BodyBudget;
  private readonly announced: number;
  private readonly done: BodyTaker;
  private bytes = empty;
  private length = 0;
  private refused = false;

  constructor(budget: BodyBudget, announced: number, done: BodyTaker) {
    this.budget = budget;
    this.announced = announced;
    this.done = done;
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    if (this.refused) return;
    const { budget } = this;
    const { maxBody, maxBuffered } = budget.limits;
    const size = end - start;
    budget.held += size;
    if (this.length + size > maxBody) this.refuse(tooLarge(maxBody), size);
    else if (budget.held > maxBuffered) this.refuse(overloaded(), size);
    else {
      if (this.length + size > this.bytes.length) this.grow(this.length + size);
      bytes.copy(this.bytes, this.length, start, end);
      this.length += size;
    }
  }

  onEnd(): void {
    if (this.refused) return;
    const whole = this.length === this.bytes.length ? this.bytes : this.bytes.subarray(0, this.length);
    this.done(null, whole);
  }

  onAbort(): void {
    if (!this.refused) this.budget.held -= this.length;
    this.refused = true;
  }

  /** Gives back what is held, and the piece of so many bytes that has just come. */
  private refuse(error: RoutingError, size: number): void {
    this.refused = true;
    this.bytes = empty;
    this.budget.held -= this.length + size;
    this.done(error, empty);
  }

  private grow(needed: number): void {
    const wanted = Math.max(needed, this.length * 2, this.announced < 0 ? firstPiece : trusted);
    const grown = Buffer.allocUnsafe(this.announced < 0 ? wanted : Math.min(wanted, this.announced));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}

function tooLarge(limit: number): RoutingError {
  return new RoutingError('request_too_large', `the body is larger than the limit of ${limit} bytes`, {
    source: 'client',
  });
}

function overloaded(): RoutingError {
  return new RoutingError('overloaded', 'the router holds too many request bodies; try again soon', {
    source: 'router',
    retryable: true,
  });
}
