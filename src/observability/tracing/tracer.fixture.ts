import type { Attributes, Caller, Span, SpanKind, Tracer } from './tracer.ts';

/** Keeps every span that is begun, in that order. */
export class FakeTracer implements Tracer {
  readonly spans: FakeSpan[] = [];
  private readonly recording: boolean;

  constructor(recording = true) {
    this.recording = recording;
  }

  begin(name: string, caller: Caller, at: number): FakeSpan {
    return this.add({ name, kind: 'server', startedAt: at, parent: caller.traceparent });
  }

  add(told: Told): FakeSpan {
    const span = new FakeSpan(this, told, this.recording, this.spans.length + 1);
    this.spans.push(span);
    return span;
  }
}

interface Told {
  readonly name: string;
  readonly kind: SpanKind | 'server';
  readonly startedAt: number;
  /** Id of the span above, or the caller's header. */
  readonly parent: string;
}

export class FakeSpan implements Span {
  readonly traceId = 'f'.repeat(32);
  readonly recording: boolean;
  readonly kind: SpanKind | 'server';
  readonly parent: string;
  readonly startedAt: number;
  readonly id: string;
  readonly attributes: Record<string, Attributes[string]> = {};
  readonly events: string[] = [];
  name: string;
  endedAt = -1;
  ends = 0;
  error: string | null = null;
  private readonly tracer: FakeTracer;

  constructor(tracer: FakeTracer, told: Told, recording: boolean, number: number) {
    this.tracer = tracer;
    this.name = told.name;
    this.kind = told.kind;
    this.parent = told.parent;
    this.startedAt = told.startedAt;
    this.recording = recording;
    this.id = `span-${number}`;
  }

  get headers(): string {
    return `traceparent: ${this.id}\r\n`;
  }

  child(name: string, kind: SpanKind, at: number): Span {
    return this.recording ? this.tracer.add({ name, kind, startedAt: at, parent: this.id }) : this;
  }

  rename(name: string): void {
    this.name = name;
  }

  set(attributes: Attributes): void {
    Object.assign(this.attributes, attributes);
  }

  event(name: string): void {
    this.events.push(name);
  }

  end(at: number, error?: string): void {
    this.endedAt = at;
    this.ends += 1;
    this.error = error ?? null;
  }
}
