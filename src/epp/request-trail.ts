import type { Trail } from '../observability/tracing/trail.ts';
import type { CallContext } from './carrier/carrier.ts';
import type { PickerContext } from './context.ts';
import type { RequestHead } from './request-head.ts';

/**
 * Opens the trail of a request whose headers have come; null where nobody follows single requests. Envoy names its own
 * span in the headers of its call: those of the request, which it has not touched yet, name the client's.
 */
export function openTrail(
  { trails }: PickerContext,
  head: RequestHead,
  startedAt: number,
  call: CallContext,
): Trail | null {
  if (trails === undefined) return null;
  const { requestId, method } = head;
  const { traceparent, tracestate } = call.traceparent === '' ? contextOf(head) : call;
  return trails.open({ requestId, method, traceparent, tracestate, startedAt });
}

function contextOf(head: RequestHead): CallContext {
  return { traceparent: head.joined('traceparent'), tracestate: head.joined('tracestate') };
}
