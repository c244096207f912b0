/** Where lines go. */
export interface LineSink {
  write(text: string): void;
  /** Bytes that are written and not yet taken. */
  readonly pending: number;
}

/** As much of a clock as the log needs. */
interface LogClock {
  after(milliseconds: number, callback: () => void): () => void;
}

/** One finished request; times in milliseconds, -1 where there is none. Nothing that a client wrote but its request id. */
export interface AccessRecord {
  readonly requestId: string;
  /** Null where the request is not traced. */
  readonly traceId: string | null;
  /** Of the routing table, or `other`; null where it was refused before its model was known. */
  readonly model: string | null;
  readonly policy: string | null;
  readonly group: string | null;
  readonly endpoint: string | null;
  /** Who has computed the prompt, where somebody else has. */
  readonly prefillEndpoint: string | null;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** Why it was refused or broke off; null for a whole answer. */
  readonly code: string | null;
  readonly stream: boolean;
  readonly retries: number;
  readonly decisionMicroseconds: number;
  readonly timeToFirstToken: number;
  readonly duration: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
}

/** Milliseconds that a line waits for others: one write takes them all. */
const delay = 50;
/** Characters that wait at most. */
const batch = 64 * 1024;
/** Bytes that nobody takes, beyond which lines are dropped: a log that is not read must not fill the memory. */
const pendingLimit = 4 * 1024 * 1024;

/** A line of JSON for each finished request; never waits for whoever reads it. */
export class AccessLog {
  /** Lines that were lost since nobody took them. */
  dropped = 0;
  private readonly sink: LineSink;
  private readonly clock: LogClock;
  private readonly wallTime: () => number;
  private lines = '';
  private cancel: (() => void) | null = null;
  private lastTime = NaN;
  private lastText = '';

  /** `wallTime` in milliseconds since 1970. */
  constructor(sink: LineSink, clock: LogClock, wallTime: () => number) {
    this.sink = sink;
    this.clock = clock;
    this.wallTime = wallTime;
  }

  write(record: AccessRecord): void {
    if (this.sink.pending > pendingLimit) {
      this.dropped += 1;
      return;
    }
    this.lines += `${this.lineOf(record)}\n`;
    if (this.lines.length >= batch) this.flush();
    else this.cancel ??= this.clock.after(delay, () => this.flush());
  }

  /** Writes what waits. */
  flush(): void {
    this.cancel?.();
    this.cancel = null;
    if (this.lines === '') return;
    this.sink.write(this.lines);
    this.lines = '';
  }

  /** Written piece by piece: half the time that it takes to make an object of it and JSON of that. */
  private lineOf(r: AccessRecord): string {
    return (
      `{"level":"info","msg":"request","time":"${this.time()}","requestId":${text(r.requestId)},` +
      `"traceId":${text(r.traceId)},"model":${text(r.model)},"policy":${text(r.policy)},"group":${text(r.group)},` +
      `"endpoint":${text(r.endpoint)},"prefillEndpoint":${text(r.prefillEndpoint)},"method":${text(r.method)},` +
      `"path":${text(r.path)},"status":${r.status},"code":${text(r.code)},"stream":${r.stream},` +
      `"retries":${r.retries},"decisionMicroseconds":${known(r.decisionMicroseconds)},` +
      `"ttftMs":${known(r.timeToFirstToken)},"durationMs":${known(r.duration)},` +
      `"promptTokens":${known(r.promptTokens)},"completionTokens":${known(r.completionTokens)},` +
      `"cachedTokens":${known(r.cachedTokens)}}`
    );
  }

  /** The time of day; many requests end in one millisecond. */
  private time(): string {
    const now = this.wallTime();
    if (now !== this.lastTime) {
      this.lastTime = now;
      this.lastText = new Date(now).toISOString();
    }
    return this.lastText;
  }
}

function text(value: string | null): string {
  return value === null ? 'null' : JSON.stringify(value);
}

/** Microseconds are enough; null where nothing is known. */
function known(value: number): string {
  return value < 0 ? 'null' : String(Math.round(value * 1000) / 1000);
}
