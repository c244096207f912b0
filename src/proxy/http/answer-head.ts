import { digits } from './octets.ts';

/** How a client tells where the body of an answer ends. */
export const Framing = { none: 0, length: 1, chunked: 2, untilClose: 3 } as const;
export type Framing = (typeof Framing)[keyof typeof Framing];

/** What the head of an answer depends on, apart from its headers. */
export interface AnswerTerms {
  readonly status: number;
  /** Whether it is to a HEAD request, and so ends with its head. */
  readonly headOnly: boolean;
  /** Of the request: 1 for HTTP/1.1. */
  readonly minor: number;
  /** Whether the connection is closed after the answer. */
  readonly close: boolean;
}

/** A head ready to be sent. */
export interface AnswerHead {
  /** Latin1, with the empty line at its end. */
  readonly text: string;
  readonly framing: Framing;
  /** Bytes of body by Content-Length, -1 where it says nothing. */
  readonly length: number;
}

/** Seconds that an idle connection is kept; clients that heed the hint send nothing on one that is about to close. */
export const keepAliveSeconds = 75;

/** RFC 9110 §15, and what is common beyond it; other codes get an empty phrase, which nobody reads. */
const phrases: Readonly<Record<number, string>> = {
  200: 'OK', 201: 'Created', 202: 'Accepted', 204: 'No Content', 206: 'Partial Content',
  301: 'Moved Permanently', 302: 'Found', 303: 'See Other', 304: 'Not Modified', 307: 'Temporary Redirect', 308: 'Permanent Redirect',
  400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found', 405: 'Method Not Allowed', 408: 'Request Timeout',
  409: 'Conflict', 410: 'Gone', 411: 'Length Required', 413: 'Payload Too Large', 415: 'Unsupported Media Type', 417: 'Expectation Failed',
  422: 'Unprocessable Entity', 429: 'Too Many Requests', 431: 'Request Header Fields Too Large',
  500: 'Internal Server Error', 501: 'Not Implemented', 502: 'Bad Gateway', 503: 'Service Unavailable', 504: 'Gateway Timeout',
}; // prettier-ignore

const statusLines = new Map<number, string>();

export function statusLine(status: number): string {
  let line = statusLines.get(status);
  if (line === undefined) {
    if (!(status >= 200 && status <= 999)) throw new TypeError(`${status} is no status of a final answer`);
    line = `HTTP/1.1 ${status} ${phrases[status] ?? ''}\r\n`;
    statusLines.set(status, line);
  }
  return line;
}

/** Anything that could end a line, or that would become something else when it is cut down to a byte. */
const unsafe = /[^\t\x20-\x7e\x80-\xff]/;
const closing = 'connection: close\r\n';
const keeping = `connection: keep-alive\r\nkeep-alive: timeout=${keepAliveSeconds}\r\n`;

/**
 * The head of an answer with these headers (name, value, name, value …). Those that speak of the connection are ours
 * to say and left out. Throws a TypeError for a header that could be read as something else.
 */
export function answerHead(headers: readonly string[], terms: AnswerTerms): AnswerHead {
  let text = statusLine(terms.status);
  let length = -1;
  let dated = false;
  const bodiless = terms.status === 204 || terms.status === 304;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i];
    const value = headers[i + 1];
    if (unsafe.test(value) || unsafe.test(name)) throw new TypeError('a header of an answer holds what no header may');
    const meaning = meaningOf(name);
    if (meaning === Meaning.connection || (meaning === Meaning.length && terms.status === 204)) continue;
    if (meaning === Meaning.length) length = lengthOf(value, length);
    else if (meaning === Meaning.date) dated = true;
    text += `${name}: ${value}\r\n`;
  }
  if (!dated) text += dateLine();
  const framing = bodiless || terms.headOnly ? Framing.none : framingOf(length, terms.minor);
  if (framing === Framing.chunked) text += 'transfer-encoding: chunked\r\n';
  text += terms.close || framing === Framing.untilClose ? closing : keeping;
  return { text: `${text}\r\n`, framing, length };
}

function framingOf(length: number, minor: number): Framing {
  if (length >= 0) return Framing.length;
  return minor === 1 ? Framing.chunked : Framing.untilClose;
}

function lengthOf(value: string, before: number): number {
  const length = value.length > 0 && value.length <= 15 ? digits(value, 0, value.length) : -1;
  if (length < 0 || before >= 0) throw new TypeError('the Content-Length of an answer is not one number');
  return length;
}

const Meaning = { none: 0, connection: 1, length: 2, date: 3 } as const;
type Meaning = (typeof Meaning)[keyof typeof Meaning];

const meanings = new Map<string, Meaning>([
  ['date', Meaning.date],
  ['content-length', Meaning.length],
  ['connection', Meaning.connection],
  ['keep-alive', Meaning.connection],
  ['proxy-connection', Meaning.connection],
  ['te', Meaning.connection],
  ['trailer', Meaning.connection],
  ['transfer-encoding', Meaning.connection],
  ['upgrade', Meaning.connection],
]);
/** One bit for each length of those names: most other names are told by it. */
const lengths = [...meanings.keys()].reduce((bits, name) => bits | (1 << name.length), 0);

function meaningOf(name: string): Meaning {
  if (name.length > 17 || (lengths & (1 << name.length)) === 0) return Meaning.none;
  return meanings.get(name) ?? meanings.get(name.toLowerCase()) ?? Meaning.none;
}

let dateSecond = 0;
let date = '';

/** The Date header, written once a second. */
function dateLine(): string {
  const now = Date.now();
  const second = Math.floor(now / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    date = `date: ${new Date(now).toUTCString()}\r\n`;
  }
  return date;
}
