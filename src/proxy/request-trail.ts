import type { Trail, Trails } from '../observability/tracing/trail.ts';
import type { RequestHead } from './http/request-head.ts';
import type { ResponseListener } from './http/response.ts';
import type { RequestHeaders } from './request-headers.ts';

/** Opens the trail of a request whose head has come, at a time in milliseconds of the clock. */
export function openTrail(trails: Trails, { method }: RequestHead, headers: RequestHeaders, startedAt: number): Trail {
  const { requestId, traceparent, tracestate } = headers;
  return trails.open({ requestId, traceparent, tracestate, method, startedAt });
}

/** Ends the trail of a client who leaves before its request is whole. */
export class Unfinished implements ResponseListener {
  private readonly trail: Trail;

  constructor(trail: Trail) {
    this.trail = trail;
  }

  onClose(): void {
    this.trail.endEarly(499, 'client_closed');
  }

  onDrain(): void {}
}
