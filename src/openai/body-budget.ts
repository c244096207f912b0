import { RoutingError } from '../router/errors.ts';

/** Bounds of what a front door holds in memory. */
export interface BodyLimits {
  /** Bytes of one body. */
  readonly maxBody: number;
  /** Bytes of all bodies that are held at a time. */
  readonly maxBuffered: number;
}

/** Bytes of all bodies that are held now. */
export class BodyBudget {
  readonly limits: BodyLimits;
  held = 0;

  constructor(limits: BodyLimits) {
    this.limits = limits;
  }

  release(bytes: number): void {
    this.held -= bytes;
  }

  /** Why a body of an announced length is refused before a byte of it is read; null where it is not. */
  refusalOf(announced: number): RoutingError | null {
    return announced > this.limits.maxBody ? tooLarge(this.limits.maxBody) : null;
  }
}

const empty = Buffer.alloc(0);
/** Bytes that are allocated on an announcement alone. */
const trusted = 64 * 1024;
/** Bytes that are allocated for a body of unknown length. */
const firstPiece = 4096;

/** One body on its way in; its pieces are copied to where they are to stay, and count as held until it is dropped. */
export class BodyBuffer {
  private readonly budget: BodyBudget;
  private readonly announced: number;
  private bytes = empty;
  private length = 0;

  /** `announced`: the length that the client tells, or -1. */
  constructor(budget: BodyBudget, announced: number) {
    this.budget = budget;
    this.announced = announced;
  }

  /** Takes a piece in; an error where it does not fit, after which nothing is held any more. */
  push(bytes: Buffer, start: number, end: number): RoutingError | null {
    const { budget } = this;
    const { maxBody, maxBuffered } = budget.limits;
    const size = end - start;
    const length = this.length + size;
    if (length > maxBody) return this.refuse(tooLarge(maxBody));
    if (budget.held + size > maxBuffered) return this.refuse(overloaded());
    budget.held += size;
    if (length > this.bytes.length) this.grow(length);
    bytes.copy(this.bytes, this.length, start, end);
    this.length = length;
    return null;
  }

  /** All that has come, as one run of bytes. */
  whole(): Buffer {
    return this.length === this.bytes.length ? this.bytes : this.bytes.subarray(0, this.length);
  }

  /** Gives back what is held; may be called again. */
  drop(): void {
    this.budget.held -= this.length;
    this.length = 0;
    this.bytes = empty;
  }

  private refuse(error: RoutingError): RoutingError {
    this.drop();
    return error;
  }

  private grow(needed: number): void {
    const { announced } = this;
    const wanted = Math.max(needed, this.length * 2, announced < 0 ? firstPiece : trusted);
    // What a gateway announces is not what it must send: the announcement only spares room.
    const grown = Buffer.allocUnsafe(announced < needed ? wanted : Math.min(wanted, announced));
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
