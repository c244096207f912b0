// The only file that knows OpenTelemetry's library; imported when tracing is on, since it takes 26 MB and 130 ms.
import {
  createTraceState,
  diag,
  DiagLogLevel,
  ROOT_CONTEXT,
  SpanKind as Kind,
  SpanStatusCode,
  trace,
  type AttributeValue,
  type Context,
  type Span as LibrarySpan,
  type Tracer as LibraryTracer,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOnSampler,
  RandomIdGenerator,
  SamplingDecision,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type ReadableSpan,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace';
import { rateLimited, type Log } from '../log.ts';
import type { TraceSettings } from './settings.ts';
import { SpanQueue, type QueueClock } from './span-queue.ts';
import { parseTraceparent, traceLines, TraceFlag, type TraceParent } from './trace-context.ts';
import type { Attributes, Caller, Span, SpanKind, Tracer } from './tracer.ts';

/** Endings of a process wait so many milliseconds for a collector. */
const flushLimit = 3000;
/** Milliseconds by which the wall clock may run away from ours before times follow it. */
const drift = 2;
/** Values are cut to so many characters: names of a cluster's objects are shorter. */
const longestValue = 1024;

const kinds: Readonly<Record<SpanKind, Kind>> = { internal: Kind.INTERNAL, client: Kind.CLIENT };

export interface OtelOptions {
  readonly clock: QueueClock;
  /** Milliseconds since 1970. */
  readonly wallTime: () => number;
  /** Milliseconds since 1970 at which the clock stood at 0, more exactly than `wallTime` tells it. */
  readonly epoch: number;
  readonly log: Log;
}

/** Traces by OTLP/HTTP, made by OpenTelemetry's own library. */
export class OtelTracer implements Tracer {
  readonly queue: SpanQueue<ReadableSpan>;
  private readonly tracer: LibraryTracer;
  private readonly options: OtelOptions;
  private readonly ids = new RandomIdGenerator();
  /** Of the trace that is about to begin: whether it is sampled hangs on it, and is found out before. */
  private nextTraceId = '';
  private readonly isSampled: (parent: TraceParent | null, traceId: string) => boolean;
  /** What is to be added to the clock's time to get milliseconds since 1970. */
  private epoch: number;

  constructor(settings: TraceSettings, options: OtelOptions) {
    const { clock, log } = options;
    const { url, headers, timeout, queue } = settings;
    const exporter = new OTLPTraceExporter({ url, headers: { ...headers }, timeoutMillis: timeout });
    this.queue = new SpanQueue<ReadableSpan>(exporter, { clock, log, ...queue });
    this.options = options;
    this.isSampled = samplerOf(settings);
    this.epoch = options.epoch;
    hear(rateLimited(log, () => clock.now()));
    const provider = new TracerProvider({
      // What is not sampled never gets here.
      sampler: new AlwaysOnSampler(),
      idGenerator: {
        generateTraceId: () => this.nextTraceId,
        generateSpanId: () => this.ids.generateSpanId(),
      },
      resource: defaultResource().merge(resourceFromAttributes({ ...settings.resource })),
      spanLimits: { attributeValueLengthLimit: longestValue },
      spanProcessors: [processorOf(this.queue)],
    });
    this.tracer = provider.getTracer('hermes-router');
  }

  begin(name: string, caller: Caller, at: number): Span {
    const parent = caller.traceparent === '' ? null : parseTraceparent(caller.traceparent);
    const traceId = parent === null ? this.ids.generateTraceId() : parent.traceId;
    const flags = parent === null ? 0 : parent.flags & TraceFlag.random;
    const tracestate = parent === null ? '' : caller.tracestate;
    if (!this.isSampled(parent, traceId)) {
      const spanId = this.ids.generateSpanId();
      return new UnsampledSpan({ traceId, spanId, flags }, tracestate);
    }
    const epoch = this.epochNow();
    const context = parent === null ? ROOT_CONTEXT : remoteContext(parent, tracestate);
    this.nextTraceId = traceId;
    const span = this.tracer.startSpan(name, { kind: Kind.SERVER, startTime: epoch + at }, context);
    return new OtelSpan(this.tracer, span, epoch, flags);
  }

  /** Sends what is left, within a bounded time. */
  close(): Promise<void> {
    return this.queue.close(flushLimit);
  }

  /** The same for all spans of a request, so that they stand as they were whatever becomes of the wall clock. */
  private epochNow(): number {
    const { clock, wallTime } = this.options;
    const epoch = wallTime() - clock.now();
    if (Math.abs(epoch - this.epoch) > drift) this.epoch = epoch;
    return this.epoch;
  }
}

function remoteContext({ traceId, spanId, flags }: TraceParent, tracestate: string): Context {
  const remote = { traceId, spanId, traceFlags: flags & TraceFlag.sampled, isRemote: true };
  const state = tracestate === '' ? {} : { traceState: createTraceState(tracestate) };
  return trace.setSpanContext(ROOT_CONTEXT, { ...remote, ...state });
}

/** Of a trace that nobody records: most of them, so the library is not troubled with it. */
class UnsampledSpan implements Span {
  readonly recording = false;
  private readonly context: TraceParent;
  private readonly tracestate: string;

  constructor(context: TraceParent, tracestate: string) {
    this.context = context;
    this.tracestate = tracestate;
  }

  get traceId(): string {
    return this.context.traceId;
  }

  get headers(): string {
    return traceLines(this.context, this.tracestate === '' ? '' : createTraceState(this.tracestate).serialize());
  }

  child(): Span {
    return this;
  }

  rename(): void {}

  set(): void {}

  event(): void {}

  end(): void {}
}

class OtelSpan implements Span {
  readonly recording = true;
  private readonly tracer: LibraryTracer;
  private readonly span: LibrarySpan;
  private readonly epoch: number;
  /** Flags that are the trace's and go on unchanged. */
  private readonly flags: number;
  private context: Context | null = null;

  constructor(tracer: LibraryTracer, span: LibrarySpan, epoch: number, flags: number) {
    this.tracer = tracer;
    this.span = span;
    this.epoch = epoch;
    this.flags = flags;
  }

  get traceId(): string {
    return this.span.spanContext().traceId;
  }

  get headers(): string {
    const { traceId, spanId, traceFlags, traceState } = this.span.spanContext();
    return traceLines({ traceId, spanId, flags: traceFlags | this.flags }, traceState?.serialize() ?? '');
  }

  child(name: string, kind: SpanKind, at: number): Span {
    this.context ??= trace.setSpan(ROOT_CONTEXT, this.span);
    const span = this.tracer.startSpan(name, { kind: kinds[kind], startTime: this.epoch + at }, this.context);
    return new OtelSpan(this.tracer, span, this.epoch, this.flags);
  }

  rename(name: string): void {
    this.span.updateName(name);
  }

  set(attributes: Attributes): void {
    for (const [name, value] of Object.entries(attributes)) this.span.setAttribute(name, valueOf(value));
  }

  event(name: string, at: number): void {
    this.span.addEvent(name, this.epoch + at);
  }

  end(at: number, error?: string): void {
    if (error !== undefined) {
      this.span.setAttribute('error.type', error);
      this.span.setStatus({ code: SpanStatusCode.ERROR });
    }
    this.span.end(this.epoch + at);
  }
}

function valueOf(value: Attributes[string]): AttributeValue {
  return typeof value === 'object' ? [...value] : value;
}

function processorOf(queue: SpanQueue<ReadableSpan>): SpanProcessor {
  return {
    onStart: () => undefined,
    onEnd: (span) => queue.push(span),
    forceFlush: () => Promise.resolve(),
    shutdown: () => Promise.resolve(),
  };
}

/** Whether a trace is recorded; the share of roots by the library's own formula, so that all services agree. */
function samplerOf({ sampler, ratio }: TraceSettings): (parent: TraceParent | null, traceId: string) => boolean {
  const share = new TraceIdRatioBasedSampler(ratio);
  const ofRoot = {
    always_on: () => true,
    always_off: () => false,
    traceidratio: (traceId: string) =>
      share.shouldSample(ROOT_CONTEXT, traceId).decision === SamplingDecision.RECORD_AND_SAMPLED,
  }[sampler.root];
  if (!sampler.parentBased) return (_parent, traceId) => ofRoot(traceId);
  return (parent, traceId) => (parent === null ? ofRoot(traceId) : (parent.flags & TraceFlag.sampled) !== 0);
}

/** What the library complains of, such as a collector's answer that it cannot read; its details may hold anything. */
function hear(log: Log): void {
  const nothing = (): void => undefined;
  const complain = (message: string): void => log.warn('the library of traces complains', { error: message });
  diag.setLogger(
    { error: complain, warn: complain, info: nothing, debug: nothing, verbose: nothing },
    DiagLogLevel.WARN,
  );
}
