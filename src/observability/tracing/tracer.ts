/** Values that a span carries; names as OpenTelemetry's semantic conventions have them, our own begin with `hermes.`. */
export type Attributes = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** The trace headers of a request, as they came; empty where there are none. */
export interface Caller {
  readonly traceparent: string;
  readonly tracestate: string;
}

export type SpanKind = 'internal' | 'client';

/** Makes the spans of requests. What stands behind it is wired by main, so that nobody else knows the library. */
export interface Tracer {
  /** Begins the span of a request, in its caller's trace where that names one. `at` in milliseconds of the clock. */
  begin(name: string, caller: Caller, at: number): Span;
}

/** One piece of work. What is told of one that is not recorded goes nowhere, but its context goes on all the same. */
export interface Span {
  /** 32 hex digits. */
  readonly traceId: string;
  /** Whether the trace is sampled: only then is it worth working out what to tell. */
  readonly recording: boolean;
  /** Header lines that name this span as the parent of what follows, each ended by CRLF. */
  readonly headers: string;
  child(name: string, kind: SpanKind, at: number): Span;
  rename(name: string): void;
  set(attributes: Attributes): void;
  event(name: string, at: number): void;
  /** `error` says that the work has failed, in one word. */
  end(at: number, error?: string): void;
}
