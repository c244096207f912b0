import { COLON, CR, digits, endOf, SPACE, tokenByte, trimmed, valueByte } from '../http/octets.ts';
import { isHopByHop, withoutNamed } from './hop-by-hop.ts';

/** What parseHead reads out of the head of an answer; one object is filled again and again. */
export class ResponseHead {
  status = 0;
  /** Raw name, value, name, value …, without hop-by-hop headers. A fresh array for each head. */
  headers: string[] = [];
  /** Bytes of body by Content-Length, -1 where there is none. */
  contentLength = -1;
  chunked = false;
  /** Whether the connection may carry another exchange. */
  keepAlive = true;
  /** Seconds the engine keeps an idle connection, as `Keep-Alive: timeout=N` says; -1 where it does not. */
  keepAliveTimeout = -1;
  /** Raw Content-Length: a second one must be the same. */
  lengthText = '';
  /** Values of all Connection headers, comma-joined. */
  connection = '';

  clear(): void {
    this.status = 0;
    this.headers = [];
    this.contentLength = -1;
    this.chunked = false;
    this.keepAlive = true;
    this.keepAliveTimeout = -1;
    this.lengthText = '';
    this.connection = '';
  }
}

const maxHeaders = 200;
/** More digits than this are no length of a body: 15 stay exact in a double. */
const maxLengthDigits = 15;

/**
 * Reads the head that lies in bytes[start, end) and ends there with an empty line, whose lines are known to end in
 * CRLF. Returns what is wrong with it, or null. The grammar is RFC 9112's without its leniencies (bare LF, obs-fold,
 * spaces before the colon, lists of lengths): what two parsers could read in two ways is refused.
 */
export function parseHead(bytes: Buffer, start: number, end: number, head: ResponseHead): string | null {
  head.clear();
  const text = bytes.toString('latin1', start, end);
  const minor = parseStatusLine(text, head);
  if (minor < 0) return 'the status line is not one of HTTP/1.0 or HTTP/1.1';
  let at = text.indexOf('\r\n') + 2;
  let count = 0;
  while (text.charCodeAt(at) !== CR) {
    if (++count > maxHeaders) return `the head has more than ${maxHeaders} headers`;
    const colon = endOf(tokenByte, text, at);
    if (colon === at || text.charCodeAt(colon) !== COLON) return 'a header name is not a token followed by a colon';
    const lineEnd = endOf(valueByte, text, colon + 1);
    if (text.charCodeAt(lineEnd) !== CR) return 'a header value holds a control character';
    const fault = addHeader(head, text.slice(at, colon), trimmed(text, colon + 1, lineEnd));
    if (fault !== null) return fault;
    at = lineEnd + 2;
  }
  return settle(head, minor);
}

/** The minor version, or -1 where the line is not a status line. */
function parseStatusLine(text: string, head: ResponseHead): number {
  const minor = text.startsWith('HTTP/1.1 ') ? 1 : text.startsWith('HTTP/1.0 ') ? 0 : -1;
  if (minor < 0) return -1;
  const status = digits(text, 9, 12);
  if (status < 100 || status > 599) return -1;
  head.status = status;
  const after = text.charCodeAt(12);
  if (after === CR) return minor;
  return after === SPACE && reasonIsClean(text) ? minor : -1;
}

function reasonIsClean(text: string): boolean {
  for (let at = 13; text.charCodeAt(at) !== CR; at++) if (valueByte[text.charCodeAt(at)] === 0) return false;
  return true;
}

/** Takes a header that means something to this connection; returns what is wrong with it, or null. */
type HeaderRule = (head: ResponseHead, value: string) => string | null;

const rules: ReadonlyMap<string, HeaderRule> = new Map<string, HeaderRule>([
  ['content-length', takeContentLength],
  ['transfer-encoding', takeTransferEncoding],
  ['connection', takeConnection],
  ['keep-alive', takeKeepAlive],
]);

function addHeader(head: ResponseHead, name: string, value: string): string | null {
  const lower = name.toLowerCase();
  const repeated = lower === 'content-length' && head.contentLength >= 0;
  const fault = rules.get(lower)?.(head, value) ?? null;
  if (fault === null && !repeated && !isHopByHop(lower)) head.headers.push(name, value);
  return fault;
}

function takeContentLength(head: ResponseHead, value: string): string | null {
  if (head.contentLength >= 0) return head.lengthText === value ? null : 'Content-Length is given twice and differs';
  if (value.length === 0 || value.length > maxLengthDigits) return 'Content-Length is not a number';
  head.contentLength = digits(value, 0, value.length);
  head.lengthText = value;
  return head.contentLength < 0 ? 'Content-Length is not a number' : null;
}

function takeTransferEncoding(head: ResponseHead, value: string): string | null {
  if (head.chunked || value.toLowerCase() !== 'chunked') return 'Transfer-Encoding is not chunked, once';
  head.chunked = true;
  return null;
}

function takeConnection(head: ResponseHead, value: string): null {
  head.connection = head.connection === '' ? value.toLowerCase() : `${head.connection},${value.toLowerCase()}`;
  return null;
}

function takeKeepAlive(head: ResponseHead, value: string): null {
  const match = /(?:^|[\s,;])timeout\s*=\s*"?(\d{1,6})/i.exec(value);
  if (match !== null) head.keepAliveTimeout = Number(match[1]);
  return null;
}

/** What only the whole head can tell. */
function settle(head: ResponseHead, minor: number): string | null {
  if (head.chunked && head.contentLength >= 0) return 'both Content-Length and Transfer-Encoding are given';
  if (head.chunked && minor === 0) return 'HTTP/1.0 has no Transfer-Encoding';
  if (head.status === 101) return 'the engine changes protocols unasked';
  if (head.status < 200 && (head.chunked || head.contentLength >= 0)) return 'an interim answer announces a body';
  head.keepAlive = minor === 1;
  if (head.connection !== '') applyConnection(head);
  return null;
}

function applyConnection(head: ResponseHead): void {
  if (/(?:^|[\s,])close(?:$|[\s,])/.test(head.connection)) head.keepAlive = false;
  head.headers = withoutNamed(head.headers, head.connection);
}
