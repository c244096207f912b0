import { BodyBuffer, type BodyBudget } from '../openai/body-budget.ts';
import type { RoutingError } from '../router/errors.ts';
import type { BodySink, ClientRequest } from './http/connection.ts';

/** Gets a body, or why there is none; called once. */
export type BodyTaker = (error: RoutingError | null, body: Buffer) => void;

const empty = Buffer.alloc(0);

/**
 * Reads a body to its end and calls back once, with the bytes (which count as held until the budget is told of their
 * release) or with an error; a client that leaves before the end gets no call.
 */
export function readBody(budget: BodyBudget, request: ClientRequest, done: BodyTaker): void {
  const announced = request.head.contentLength;
  const refused = budget.refusalOf(announced);
  if (refused !== null) done(refused, empty);
  else request.receive(new BodyReader(new BodyBuffer(budget, announced), done));
}

/** One body on its way in. */
class BodyReader implements BodySink {
  private readonly buffer: BodyBuffer;
  private readonly done: BodyTaker;
  private refused = false;

  constructor(buffer: BodyBuffer, done: BodyTaker) {
    this.buffer = buffer;
    this.done = done;
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    if (this.refused) return;
    const error = this.buffer.push(bytes, start, end);
    if (error === null) return;
    this.refused = true;
    this.done(error, empty);
  }

  onEnd(): void {
    if (!this.refused) this.done(null, this.buffer.whole());
  }

  onAbort(): void {
    this.buffer.drop();
    this.refused = true;
  }
}
