import type { IncomingMessage } from 'node:http';
import { RoutingError } from '../router/errors.ts';

/** Bounds of what the proxy holds in memory. */
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

  /**
   * Reads a body to its end and calls back once, with the bytes (which count as held until `release`) or with an
   * error; a client that leaves before the end gets no call.
   */
  read(request: IncomingMessage, done: (error: RoutingError | null, body: Buffer) => void): void {
    const { maxBody } = this.limits;
    const announced = Number(request.headers['content-length'] ?? 0);
    if (announced > maxBody) {
      done(tooLarge(maxBody), empty);
      return;
    }
    let only: Buffer = empty;
    let more: Buffer[] | null = null;
    let length = 0;
    let ended = false;
    request.on('data', (chunk: Buffer) => {
      if (ended) return;
      length += chunk.length;
      this.held += chunk.length;
      if (length > maxBody || this.held > this.limits.maxBuffered) {
        ended = true;
        this.held -= length;
        done(length > maxBody ? tooLarge(maxBody) : overloaded(), empty);
      } else if (length === chunk.length) only = chunk;
      else (more ??= [only]).push(chunk);
    });
    request.on('end', () => {
      if (ended) return;
      ended = true;
      done(null, more === null ? only : Buffer.concat(more));
    });
    request.on('close', () => {
      if (!ended) this.held -= length;
      ended = true;
    });
  }

  release(bytes: number): void {
    this.held -= bytes;
  }
}

const empty = Buffer.alloc(0);

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
