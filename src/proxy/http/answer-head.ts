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
export class AnswerHead {
  /** Latin1, with the empty line at its end. */
  text = '';
  framing: Framing = Framing.none;
  /** Bytes of body by Content-Length, -1 where it says nothing. */
  length = -1;
  /** Whether the headers name a date. */
  dated = false;
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
/** The last header, and the empty line. */
const closing = 'connection: close\r\n\r\n';
const keeping = `connection: keep-alive\r\nkeep-alive: timeout=${keepAliveSeconds}\r\n\r\n`;

/**
 * The head of an answer with these headers (name, value, name, value …). Those that speak of the connection are ours
 * to say and left out. Throws a TypeError for a header that could be read as something else.
 */
export function answerHead(headers: readonly string[], terms: AnswerTerms): AnswerHead {
  const head = new AnswerHead();
  head.text = statusLine(terms.status);
  for (let i = 0; i < headers.length; i += 2) addField(head, terms.status, headers[i], headers[i + 1]);
  if (!head.dated) head.text += dateLine();
  head.framing = framingOf(head, terms);
  if (head.framing === Framing.chunked) head.text += 'transfer-encoding: chunked\r\n';
  head.text += terms.close || head.framing === Framing.untilClose ? closing : keeping;
  return head;
}

function addField(head: AnswerHead, status: number, name: string, value: string): void {
  if (unsafe.test(value) || unsafe.test(name)) throw new TypeError('a header of an answer holds what no header may');
  switch (meaningOf(name)) {
    case Meaning.connection:
      return;
    case Meaning.length:
      // RFC 9110 §8.6: a 204 has none.
      if (status === 204) return;
      if (head.length >= 0) throw new TypeError('an answer has one Content-Length');
      head.length = lengthOf(value);
      break;
    case Meaning.date:
      head.dated = true;
      break;
    case Meaning.none:
  }
  head.text += `${name}: ${value}\r\n`;
}

function framingOf({ length }: AnswerHead, { status, headOnly, minor }: AnswerTerms): Framing {
  if (headOnly || status === 204 || status === 304) return Framing.none;
  if (length >= 0) return Framing.length;
  return minor === 1 ? Framing.chunked : Framing.untilClose;
}

function lengthOf(value: string): number {
  const length = value.length > 0 && value.length <= 15 ? digits(value, 0, value.length) : -1;
  if (length < 0) throw new TypeError('the Content-Length of an answer is not a number');
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
const longestName = Math.max(...Array.from(meanings.keys(), (name) => name.length));
/** A bit for each length of those names, by which most others are told. */
const nameLengths = Array.from(meanings.keys()).reduce((bits, name) => bits | (1 << name.length), 0);

function meaningOf(name: string): Meaning {
  if (name.length > longestName || (nameLengths & (1 << name.length)) === 0) return Meaning.none;
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
