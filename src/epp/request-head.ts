import { requestIdOf } from '../openai/request-id.ts';
import { isSteering } from '../openai/steering-headers.ts';
import type { HeaderLookup } from '../router/request.ts';
import type { HeaderLines } from './wire/request.ts';

/** What the picker does with a request header. */
const Fate = {
  keep: 0,
  drop: 1,
  path: 2,
  method: 3,
  contentType: 4,
  contentLength: 5,
  requestId: 6,
  debug: 7,
  authorization: 8,
} as const;
type Fate = (typeof Fate)[keyof typeof Fate];

const special = new Map<string, Fate>([
  [':path', Fate.path],
  [':method', Fate.method],
  ['content-type', Fate.contentType],
  ['content-length', Fate.contentLength],
  ['x-request-id', Fate.requestId],
  ['x-hermes-debug', Fate.debug],
  ['authorization', Fate.authorization],
  // In the way of reading the usage of an answer.
  ['accept-encoding', Fate.drop],
]);

const fates = new Map<string, Fate>();
const fatesLimit = 1024;

function fateOf(name: string): Fate {
  const known = fates.get(name);
  if (known !== undefined) return known;
  const fate = special.get(name) ?? (isSteering(name) ? Fate.drop : Fate.keep);
  // Names come from clients: the memo must not grow with them.
  if (fates.size >= fatesLimit) fates.clear();
  fates.set(name, fate);
  return fate;
}

/** A request's headers, copied from their message in one pass: what decisions read, and what must not go on. */
export class RequestHead implements HeaderLookup {
  /** Path without its query, and the query with its question mark. */
  path = '';
  query = '';
  method = '';
  contentType = '';
  /** -1 where none is told. */
  contentLength = -1;
  /** The client's, or a new one where that cannot be used. */
  requestId: string;
  debug = false;
  hasAuthorization = false;
  /** Names of the headers that no engine may see. */
  readonly dropped: string[] = [];
  /** Name, value, name, value … */
  private readonly lines: string[] = [];
  private sentId = '';

  constructor(headers: HeaderLines) {
    for (let i = 0; i < headers.length; i++) this.read(headers.name(i), headers.value(i));
    this.requestId = requestIdOf(this.sentId);
  }

  /** Whether the request's id is not the one that it came with. */
  get hasNewId(): boolean {
    return this.requestId !== this.sentId;
  }

  /** Value of the first header of that lower-case name. */
  get(name: string): string | undefined {
    const { lines } = this;
    for (let i = 0; i < lines.length; i += 2) if (lines[i] === name) return lines[i + 1];
    return undefined;
  }

  /** Values of all headers of that lower-case name with commas between; empty where there is none. */
  joined(name: string): string {
    const { lines } = this;
    let found = '';
    for (let i = 0; i < lines.length; i += 2) {
      if (lines[i] === name) found += found === '' ? lines[i + 1] : `,${lines[i + 1]}`;
    }
    return found;
  }

  private read(name: string, value: string): void {
    this.lines.push(name, value);
    const fate = fateOf(name);
    if (fate === Fate.keep) return;
    if (fate === Fate.drop) this.dropped.push(name);
    else this.note(fate, value);
  }

  private note(fate: Fate, value: string): void {
    switch (fate) {
      case Fate.path:
        this.readTarget(value);
        break;
      case Fate.method:
        this.method = value;
        break;
      case Fate.contentType:
        this.contentType = value;
        break;
      case Fate.contentLength:
        this.contentLength = lengthOf(value);
        break;
      case Fate.requestId:
        this.sentId = value;
        break;
      case Fate.debug:
        this.debug = value === '1';
        this.dropped.push('x-hermes-debug');
        break;
      case Fate.authorization:
        this.hasAuthorization = true;
        break;
      case Fate.keep:
      case Fate.drop:
        break;
    }
  }

  private readTarget(target: string): void {
    const mark = target.indexOf('?');
    this.path = mark < 0 ? target : target.slice(0, mark);
    this.query = mark < 0 ? '' : target.slice(mark);
  }
}

/** What is no number is none: the gateway has checked it, and the bytes are counted anyway. */
function lengthOf(value: string): number {
  return /^\d{1,15}$/.test(value) ? Number(value) : -1;
}
