import { requestIdOf } from '../openai/request-id.ts';
import { isSteering } from '../openai/steering-headers.ts';
import type { HeaderLookup } from '../router/request.ts';

/** What the proxy does with a request header. */
const Fate = { forward: 0, drop: 1, contentType: 2, requestId: 3, debug: 4, authorization: 5, trace: 6 } as const;
type Fate = (typeof Fate)[keyof typeof Fate];

const special = new Map<string, Fate>([
  ['content-type', Fate.contentType],
  ['x-request-id', Fate.requestId],
  ['x-hermes-debug', Fate.debug],
  ['authorization', Fate.authorization],
  ['traceparent', Fate.trace],
  ['tracestate', Fate.trace],
]);

/** Hop by hop, made anew by us, or (accept-encoding) in the way of reading usage and of the error event. */
const dropped = new Set([
  'accept-encoding', 'connection', 'content-length', 'expect', 'host', 'keep-alive', 'proxy-authorization',
  'proxy-authenticate', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade',
]); // prettier-ignore

const fates = new Map<string, Fate>();
const fatesLimit = 1024;

function fateOf(name: string): Fate {
  const known = fates.get(name);
  if (known !== undefined) return known;
  const lower = name.toLowerCase();
  let fate: Fate = special.get(lower) ?? Fate.forward;
  if (dropped.has(lower) || (fate === Fate.forward && isSteering(lower))) fate = Fate.drop;
  // Names come from clients: the memo must not grow with them.
  if (fates.size >= fatesLimit) fates.clear();
  fates.set(name, fate);
  return fate;
}

/** A request's headers, read in one pass: what goes on to an engine and what the proxy itself wants to know. */
export class RequestHeaders implements HeaderLookup {
  contentType = '';
  requestId = '';
  debug = false;
  /** The client's trace headers where we write our own, several joined by commas; else empty, and they go on. */
  traceparent = '';
  tracestate = '';
  private readonly raw: readonly string[];
  private readonly traced: boolean;
  private authorization = '';
  private forwarded = '';

  /** `raw` is name, value, name, value … as the parser has checked them; `traced`: trace headers are ours to write. */
  constructor(raw: readonly string[], traced = false) {
    this.raw = raw;
    this.traced = traced;
    const named = connectionNames(raw);
    for (let i = 0; i < raw.length; i += 2) this.read(raw[i], raw[i + 1], named);
    this.requestId = requestIdOf(this.requestId);
  }

  /** Value of the first header of that lower-case name. */
  get(name: string): string | undefined {
    for (let i = 0; i < this.raw.length; i += 2) {
      if (this.raw[i].length === name.length && this.raw[i].toLowerCase() === name) return this.raw[i + 1];
    }
    return undefined;
  }

  /** Header lines for an engine; the engine's own key stands in for the client's Authorization. */
  linesFor(apiKey: string | undefined, forwardAuthorization: boolean): string {
    let lines = `${this.forwarded}x-request-id: ${this.requestId}\r\n`;
    lines += `content-type: ${this.contentType === '' ? 'application/json' : this.contentType}\r\n`;
    if (apiKey !== undefined) lines += `authorization: Bearer ${apiKey}\r\n`;
    else if (forwardAuthorization && this.authorization !== '') lines += `authorization: ${this.authorization}\r\n`;
    return lines;
  }

  private read(name: string, value: string, named: ReadonlySet<string> | null): void {
    switch (fateOf(name)) {
      case Fate.forward:
        this.forward(name, value, named);
        break;
      case Fate.trace:
        if (this.traced) this.takeTrace(name, value);
        else this.forward(name, value, named);
        break;
      case Fate.contentType:
        this.contentType = value;
        break;
      case Fate.requestId:
        this.requestId = value;
        break;
      case Fate.debug:
        this.debug = value === '1';
        break;
      case Fate.authorization:
        this.authorization = value;
        break;
      case Fate.drop:
        break;
    }
  }

  private forward(name: string, value: string, named: ReadonlySet<string> | null): void {
    if (named === null || !named.has(name.toLowerCase())) this.forwarded += `${name}: ${value}\r\n`;
  }

  /** Several of the one are a list; several of the other are none, as the commas will show. */
  private takeTrace(name: string, value: string): void {
    if (name.length === 'tracestate'.length) this.tracestate = joined(this.tracestate, value);
    else this.traceparent = joined(this.traceparent, value);
  }
}

function joined(before: string, value: string): string {
  return before === '' ? value : `${before},${value}`;
}

/** Header names that the Connection header makes hop by hop; null for the usual none. */
function connectionNames(raw: readonly string[]): ReadonlySet<string> | null {
  let named: Set<string> | null = null;
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i].length !== 10 || raw[i].toLowerCase() !== 'connection') continue;
    const value = raw[i + 1];
    if (value === 'keep-alive' || value === 'close') continue;
    named ??= new Set();
    for (const name of value.split(',')) named.add(name.trim().toLowerCase());
  }
  return named;
}
