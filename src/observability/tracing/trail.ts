import type { AccessLog } from '../access-log.ts';
import type { Attributes, Caller, Span, Tracer } from './tracer.ts';

/** What a request's headers tell at once. */
export interface TrailHead extends Caller {
  readonly requestId: string;
  /** As it came. */
  readonly method: string;
  /** In milliseconds of the clock. */
  readonly startedAt: number;
}

/** Who takes a request. */
export interface TrailTaken {
  /** As the routing table names it, else `other`. */
  readonly model: string;
  readonly policy: string;
  readonly stream: boolean;
}

/** How a request has ended; times in milliseconds, -1 where there is none. */
export interface TrailEnd {
  readonly status: number;
  /** Why there is no whole answer; null where there is one. */
  readonly code: string | null;
  readonly group: string | null;
  readonly endpoint: string | null;
  readonly prefillEndpoint: string | null;
  readonly retries: number;
  readonly decisionMicroseconds: number;
  readonly timeToFirstToken: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
}

/** The end of a request that nobody has decided on. */
export const undecidedEnd: Omit<TrailEnd, 'status' | 'code'> = Object.freeze({
  group: null,
  endpoint: null,
  prefillEndpoint: null,
  retries: 0,
  decisionMicroseconds: -1,
  timeToFirstToken: -1,
  promptTokens: -1,
  completionTokens: -1,
  cachedTokens: -1,
});

export interface TrailOptions {
  /** Null where nothing is traced. */
  readonly tracer: Tracer | null;
  /** Null where none is written. */
  readonly accessLog: AccessLog | null;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  /** What stands before the names of requests' spans, such as `ext_proc `. */
  readonly prefix?: string;
}

/** Opens the trails of requests; a front door has none where nobody wants to know of single requests. */
export class Trails {
  /** Whether requests are traced; their trace headers are then ours to write. */
  readonly tracing: boolean;
  private readonly options: TrailOptions;

  constructor(options: TrailOptions) {
    this.options = options;
    this.tracing = options.tracer !== null;
  }

  open(head: TrailHead): Trail {
    return new Trail(head, this.options);
  }
}

const operations = new Map([
  ['/v1/chat/completions', 'chat'],
  ['/v1/responses', 'chat'],
  ['/v1/completions', 'text_completion'],
  ['/v1/embeddings', 'embeddings'],
]);

/** Others are a client's own text. */
const methods = new Set(['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH']);

/** What there is to tell of one request while it is under way: its span, and at its end a line of the access log. */
export class Trail {
  /** Null where nothing is traced. */
  readonly span: Span | null;
  private readonly options: TrailOptions;
  private readonly head: TrailHead;
  private readonly method: string;
  private path = 'other';
  private taken: TrailTaken | null = null;
  private done = false;

  constructor(head: TrailHead, options: TrailOptions) {
    this.head = head;
    this.options = options;
    const { tracer, prefix = '' } = options;
    this.method = methods.has(head.method) ? head.method : '_OTHER';
    this.span = tracer === null ? null : tracer.begin(prefix + this.method, head, head.startedAt);
    if (this.recording) this.span?.set({ 'http.request.method': this.method, 'hermes.request_id': head.requestId });
  }

  /** Whether it is worth working out what only a span wants to know. */
  get recording(): boolean {
    return this.span !== null && this.span.recording;
  }

  /** The path is one of those that are served. */
  route(path: string): void {
    this.path = path;
    if (!this.recording) return;
    const operation = operations.get(path);
    this.span?.rename(`${this.options.prefix ?? ''}${this.method} ${path}`);
    this.span?.set({
      'http.route': path,
      'url.path': path,
      ...(operation === undefined ? {} : { 'gen_ai.operation.name': operation }),
    });
  }

  /** A policy takes it. */
  take(taken: TrailTaken): void {
    this.taken = taken;
    if (!this.recording) return;
    const { model, policy, stream } = taken;
    this.span?.set({ 'gen_ai.request.model': model, 'gen_ai.request.stream': stream, 'hermes.policy': policy });
  }

  /** Begins a piece of work for it, now; null where nothing is recorded. */
  step(name: string): Span | null {
    if (this.span === null || !this.recording) return null;
    return this.span.child(name, 'internal', this.options.now());
  }

  /** The request is over, and nobody had to decide on it. */
  endEarly(status: number, code: string | null): void {
    this.end({ ...undecidedEnd, status, code });
  }

  /** The request is over; counts once. */
  end(end: TrailEnd): void {
    if (this.done) return;
    this.done = true;
    const now = this.options.now();
    if (this.span !== null && this.recording) endSpan(this.span, end, now);
    const { accessLog } = this.options;
    if (accessLog === null) return;
    const { head, span, taken, method, path } = this;
    accessLog.write({
      requestId: head.requestId,
      traceId: span === null ? null : span.traceId,
      model: taken === null ? null : taken.model,
      policy: taken === null ? null : taken.policy,
      group: end.group,
      endpoint: end.endpoint,
      prefillEndpoint: end.prefillEndpoint,
      method,
      path,
      status: end.status,
      code: end.code,
      stream: taken !== null && taken.stream,
      retries: end.retries,
      decisionMicroseconds: end.decisionMicroseconds,
      timeToFirstToken: end.timeToFirstToken,
      duration: now - head.startedAt,
      promptTokens: end.promptTokens,
      completionTokens: end.completionTokens,
      cachedTokens: end.cachedTokens,
    });
  }
}

function endSpan(span: Span, end: TrailEnd, now: number): void {
  const { status, code } = end;
  const error = code ?? (status >= 500 ? String(status) : null);
  // What the client has done wrong is no failure of ours; an answer that has begun well and breaks off is.
  const isFailure = error !== null && (status >= 500 || status < 400);
  span.set({ 'http.response.status_code': status, ...attributesOf(end) });
  if (error !== null && !isFailure) span.set({ 'error.type': error });
  if (isFailure) span.end(now, error);
  else span.end(now);
}

function attributesOf(end: TrailEnd): Attributes {
  const found: Record<string, string | number> = {};
  const { group, endpoint, prefillEndpoint, retries, timeToFirstToken } = end;
  if (group !== null) found['hermes.group'] = group;
  if (endpoint !== null) found['hermes.endpoint'] = endpoint;
  if (prefillEndpoint !== null) found['hermes.prefill_endpoint'] = prefillEndpoint;
  if (retries > 0) found['hermes.retries'] = retries;
  if (timeToFirstToken >= 0) found['gen_ai.response.time_to_first_chunk'] = timeToFirstToken / 1000;
  if (end.promptTokens >= 0) found['gen_ai.usage.input_tokens'] = end.promptTokens;
  if (end.completionTokens >= 0) found['gen_ai.usage.output_tokens'] = end.completionTokens;
  if (end.cachedTokens >= 0) found['gen_ai.usage.cache_read.input_tokens'] = end.cachedTokens;
  return found;
}
