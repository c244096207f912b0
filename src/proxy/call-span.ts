import type { Span } from '../observability/tracing/tracer.ts';
import type { HandoverStage, StageOutcome } from '../observability/telemetry.ts';
import type { Endpoint } from '../router/endpoint.ts';

/** A call of an engine, as its span tells it. */
export interface EngineCall {
  readonly endpoint: Endpoint;
  /** Name of the endpoint's group. */
  readonly group: string;
  readonly path: string;
  /** What the call is in a hand-over; null where there is none. */
  readonly stage: HandoverStage | null;
  /** In milliseconds of the clock. */
  readonly at: number;
}

/** Begins the span of a call of an engine. */
export function callSpan(parent: Span, { endpoint, group, path, stage, at }: EngineCall): Span {
  const name = `POST ${path}`;
  const span = parent.child(stage === null ? name : `${stage} ${name}`, 'client', at);
  if (!span.recording) return span;
  const { address } = endpoint;
  const colon = address.lastIndexOf(':');
  span.set({
    'http.request.method': 'POST',
    'url.path': path,
    'server.address': address.slice(0, colon),
    'server.port': Number(address.slice(colon + 1)),
    'hermes.group': group,
    'hermes.endpoint': endpoint.name,
    ...(stage === null ? {} : { 'hermes.stage': stage }),
  });
  return span;
}

/** `status` is 0 where no answer has begun. */
export function endCallSpan(span: Span, outcome: StageOutcome, status: number, at: number): void {
  if (!span.recording) return;
  if (status > 0) span.set({ 'http.response.status_code': status });
  if (outcome === 'ok') span.end(at);
  else span.end(at, outcome === 'refused' && status > 0 ? String(status) : outcome);
}
