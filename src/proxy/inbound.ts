import type { Trail } from '../observability/tracing/trail.ts';
import type { Payload } from '../openai/payload.ts';
import type { NamedPair } from '../router/decision.ts';
import type { Foreknowledge } from '../router/foreknowledge.ts';
import type { RoutingPolicy } from '../router/policy.ts';
import type { Response } from './http/response.ts';
import type { RequestHeaders } from './request-headers.ts';

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
  /** The pair that the request's headers name; null where they name none. */
  readonly pair: NamedPair | null;
  /** When the request came, in milliseconds of the clock. */
  readonly startedAt: number;
  /** Null where nobody wants to know of single requests. */
  readonly trail: Trail | null;
}
