import { COLON, CR, digits, endOf, SPACE, targetByte, tokenByte, trimmed } from './octets.ts';

/** The head of a client's request. */
export class RequestHead {
  method = '';
  /** As it came: visible ASCII that begins with `/`, is `*`, or begins with `http://` or `https://`. */
  target = '';
  /** 1 for HTTP/1.1, 0 for HTTP/1.0. */
  minor = 1;
  /** Raw name, value, name, value …, in latin1. */
  readonly headers: string[] = [];
  /** Bytes of body by Content-Length, -1 where it says nothing. */
  contentLength = -1;
  chunked = false;
  /** Whether the client lets the connection carry another request. */
  keepAlive = true;
  /** What the client expects, in lower case: `100-continue`, or what nobody can give. */
  expectation = '';
  hosts = 0;
  /** Values of all Connection headers in lower case, comma-joined. */
  connection = '';

  get hasBody(): boolean {
    return this.chunked || this.contentLength > 0;
  }
}

/** More digits than this are no length of a body: 15 stay exact in a double. */
const maxLengthDigits = 15;
const absoluteForm = /^https?:\/\/[^/]/i;

/**
 * Reads a head: latin1 text that ends with an empty line, whose lines are known to end in CRLF and to hold no controls.
 * Returns what is wrong with it, or null. The grammar is RFC 9112's without its leniencies (lists of lengths, obs-fold,
 * white space before the colon or around the parts of the request line): what two parsers could read in two ways is
 * refused.
 */
export function parseHead(text: string, head: RequestHead): string | null {
  const lineEnd = text.indexOf('\r');
  return parseRequestLine(text, lineEnd, head) ?? parseFields(text, lineEnd + 2, head) ?? settle(head);
}

/** Reads trailers, which nobody wants: they must be fields all the same, and none of those that frame a message. */
export function checkTrailers(text: string): string | null {
  const trailers = new RequestHead();
  const fault = parseFields(text, 0, trailers);
  const frames = trailers.contentLength >= 0 || trailers.chunked || trailers.hosts > 0;
  return fault ?? (frames ? 'a trailer is one of those headers that frame a message' : null);
}

function parseRequestLine(text: string, lineEnd: number, head: RequestHead): string | null {
  const methodEnd = endOf(tokenByte, text, 0);
  if (methodEnd === 0 || text.charCodeAt(methodEnd) !== SPACE) return 'the method is not a token followed by a space';
  const targetEnd = endOf(targetByte, text, methodEnd + 1);
  if (text.charCodeAt(targetEnd) !== SPACE) return 'the request target is not visible ASCII followed by a space';
  if (!text.startsWith('HTTP/1.', targetEnd + 1) || lineEnd !== targetEnd + 9) return notHttp1;
  const minor = text.charCodeAt(lineEnd - 1) - 48;
  if (minor !== 0 && minor !== 1) return notHttp1;
  head.minor = minor;
  head.method = text.slice(0, methodEnd);
  head.target = text.slice(methodEnd + 1, targetEnd);
  return checkTarget(head);
}

const notHttp1 = 'the version is not HTTP/1.0 or HTTP/1.1';

function checkTarget({ method, target }: RequestHead): string | null {
  // What follows a CONNECT may be taken for a tunnel by whoever passed it on.
  if (method === 'CONNECT') return 'no tunnels are opened here';
  if (target.charCodeAt(0) === 47 || target === '*' || absoluteForm.test(target)) return null;
  return 'the request target is neither a path nor an http address';
}

/** Reads the fields from `from` up to the empty line. */
function parseFields(text: string, from: number, head: RequestHead): string | null {
  let at = from;
  while (text.charCodeAt(at) !== CR) {
    const colon = endOf(tokenByte, text, at);
    if (colon === at || text.charCodeAt(colon) !== COLON) return 'a header name is not a token followed by a colon';
    const lineEnd = text.indexOf('\r', colon);
    const name = text.slice(at, colon);
    const value = trimmed(text, colon + 1, lineEnd);
    head.headers.push(name, value);
    const fault = heed(head, name, value);
    if (fault !== null) return fault;
    at = lineEnd + 2;
  }
  return null;
}

/** Takes a header that means something to this connection; returns what is wrong with it, or null. */
type HeaderRule = (head: RequestHead, value: string) => string | null;

const rules: ReadonlyMap<string, HeaderRule> = new Map<string, HeaderRule>([
  ['host', takeHost],
  ['expect', takeExpect],
  ['connection', takeConnection],
  ['content-length', takeLength],
  ['transfer-encoding', takeEncoding],
]);
const longestName = Math.max(...Array.from(rules.keys(), (name) => name.length));
/** A bit for each length of those names, by which most others are told. */
const nameLengths = Array.from(rules.keys()).reduce((bits, name) => bits | (1 << name.length), 0);

function heed(head: RequestHead, name: string, value: string): string | null {
  if (name.length > longestName || (nameLengths & (1 << name.length)) === 0) return null;
  return rules.get(name.toLowerCase())?.(head, value) ?? null;
}

function takeHost(head: RequestHead): null {
  head.hosts += 1;
  return null;
}

function takeExpect(head: RequestHead, value: string): null {
  head.expectation += value.toLowerCase();
  return null;
}

function takeConnection(head: RequestHead, value: string): null {
  head.connection += `${value.toLowerCase()},`;
  return null;
}

function takeLength(head: RequestHead, value: string): string | null {
  if (head.contentLength >= 0) return 'Content-Length is given twice';
  if (value.length === 0 || value.length > maxLengthDigits) return 'Content-Length is not a number';
  head.contentLength = digits(value, 0, value.length);
  return head.contentLength < 0 ? 'Content-Length is not a number' : null;
}

function takeEncoding(head: RequestHead, value: string): string | null {
  if (head.chunked || value.toLowerCase() !== 'chunked') return 'Transfer-Encoding is not chunked, once';
  head.chunked = true;
  return null;
}

/** What only the whole head can tell. */
function settle(head: RequestHead): string | null {
  if (head.chunked && head.contentLength >= 0) return 'both Content-Length and Transfer-Encoding are given';
  if (head.chunked && head.minor === 0) return 'HTTP/1.0 has no Transfer-Encoding';
  if (head.hosts > 1) return 'Host is given twice';
  if (head.minor === 1 && head.hosts === 0) return 'Host is missing';
  head.keepAlive = head.minor === 1;
  if (head.connection !== '') applyConnection(head);
  return null;
}

function applyConnection(head: RequestHead): void {
  const options = head.connection.split(',').map((option) => option.trim());
  if (options.includes('keep-alive')) head.keepAlive = true;
  if (options.includes('close')) head.keepAlive = false;
}
