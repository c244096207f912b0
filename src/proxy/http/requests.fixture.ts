/** Requests that the parser reads, and bytes that it refuses; latin1. */
export interface ValidRequest {
  readonly name: string;
  readonly bytes: string;
  readonly method?: string;
  readonly target?: string;
  readonly headers?: readonly string[];
  readonly body?: string;
  readonly keepAlive?: boolean;
  /** What a server of node:http makes of it, where that is something else. */
  readonly node?: 'refuses';
}

export interface InvalidRequest {
  readonly name: string;
  readonly bytes: string;
  readonly refusal?: 'headers_too_large' | 'expectation_failed';
  /** What a server of node:http makes of it, where it is less strict. */
  readonly node?: 'accepts';
}

const host = 'host: x\r\n';
const get = `GET /a HTTP/1.1\r\n${host}`;
const post = `POST /a HTTP/1.1\r\n${host}`;
const chunked = `${post}transfer-encoding: chunked\r\n\r\n`;

export const validRequests: readonly ValidRequest[] = [
  { name: 'no body', bytes: `${get}\r\n`, method: 'GET', target: '/a', headers: ['host', 'x'] },
  { name: 'a body by length', bytes: `${post}content-length: 5\r\n\r\nhello`, method: 'POST', body: 'hello' },
  { name: 'a body of no bytes', bytes: `${post}content-length: 0\r\n\r\n` },
  { name: 'a length with zeros before it', bytes: `${post}content-length: 0005\r\n\r\nhello`, body: 'hello' },
  { name: 'a body with a GET', bytes: `${get}content-length: 2\r\n\r\nhi`, method: 'GET', body: 'hi' },
  { name: 'a body in chunks', bytes: `${chunked}5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n`, body: 'hello world' },
  { name: 'a body of no chunks', bytes: `${chunked}0\r\n\r\n` },
  { name: 'chunked in capitals', bytes: `${post}Transfer-Encoding: CHUNKED\r\n\r\n1\r\na\r\n0\r\n\r\n`, body: 'a' },
  { name: 'sizes in capitals and with zeros', bytes: `${chunked}00A\r\n0123456789\r\n000\r\n\r\n`, body: '0123456789' },
  { name: 'chunk extensions', bytes: `${chunked}5;a=b;c\r\nhello\r\n0;d="e f"\r\n\r\n`, body: 'hello' },
  { name: 'trailers', bytes: `${chunked}5\r\nhello\r\n0\r\nx-a: b\r\nx-c: d\r\n\r\n`, body: 'hello', headers: ['host', 'x', 'transfer-encoding', 'chunked'] },
  { name: 'empty lines before it', bytes: `\r\n\r\n${get}\r\n`, method: 'GET' },
  { name: 'white space around a value', bytes: `${get}x-a: \t b c\t \r\n\r\n`, headers: ['host', 'x', 'x-a', 'b c'] },
  { name: 'no white space before a value', bytes: `${get}x-a:b\r\n\r\n`, headers: ['host', 'x', 'x-a', 'b'] },
  { name: 'an empty value', bytes: `${get}x-a:\r\nx-b: \r\n\r\n`, headers: ['host', 'x', 'x-a', '', 'x-b', ''] },
  { name: 'a value in UTF-8', bytes: `${get}x-a: \xc3\xa9\r\n\r\n`, headers: ['host', 'x', 'x-a', '\xc3\xa9'] },
  { name: 'names as they were written', bytes: `${get}X-Aa: 1\r\nx-aA: 2\r\n\r\n`, headers: ['host', 'x', 'X-Aa', '1', 'x-aA', '2'] },
  { name: 'every character of a token', bytes: `${get}!#$%&'*+-.^_\`|~09AZaz: 1\r\n\r\n` },
  { name: 'an empty host', bytes: 'GET /a HTTP/1.1\r\nhost:\r\n\r\n' },
  { name: 'a query', bytes: `GET /a?b=c%20d&e HTTP/1.1\r\n${host}\r\n`, target: '/a?b=c%20d&e' },
  { name: 'characters that many leave as they are', bytes: `GET /a"<>[]\\^{|}\` HTTP/1.1\r\n${host}\r\n`, target: '/a"<>[]\\^{|}`' },
  { name: 'a whole address', bytes: `GET http://y/a HTTP/1.1\r\n${host}\r\n`, target: 'http://y/a' },
  { name: 'an asterisk', bytes: `OPTIONS * HTTP/1.1\r\n${host}\r\n`, method: 'OPTIONS', target: '*' },
  { name: 'a method that nobody knows', bytes: `FROB /a HTTP/1.1\r\n${host}\r\n`, method: 'FROB', node: 'refuses' },
  { name: 'a method in small letters', bytes: `get /a HTTP/1.1\r\n${host}\r\n`, method: 'get', node: 'refuses' },
  { name: 'the end of a connection', bytes: `${get}connection: close\r\n\r\n`, keepAlive: false },
  { name: 'the end of a connection among other options', bytes: `${get}Connection: x, Close\r\nconnection: keep-alive\r\n\r\n`, keepAlive: false },
  { name: 'an upgrade, which is passed over', bytes: `${get}connection: upgrade\r\nupgrade: websocket\r\n\r\n`, keepAlive: true },
  { name: 'HTTP/1.0', bytes: 'GET /a HTTP/1.0\r\n\r\n', keepAlive: false },
  { name: 'HTTP/1.0 that asks for more', bytes: 'GET /a HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\n', keepAlive: true },
  { name: 'HTTP/1.0 with a body', bytes: 'POST /a HTTP/1.0\r\ncontent-length: 2\r\n\r\nhi', body: 'hi', keepAlive: false },
  { name: 'HTTP/1.0 with an expectation, which it does not know', bytes: 'POST /a HTTP/1.0\r\nexpect: x\r\ncontent-length: 2\r\n\r\nhi', body: 'hi', keepAlive: false },
  { name: 'headers of just 16 KiB', bytes: fill(16 * 1024) },
  { name: 'trailers of just 16 KiB', bytes: `${chunked}0\r\n${fillTrailers(16 * 1024)}` },
]; // prettier-ignore

const chunk = (frame: string): string => `${chunked}${frame}\r\n0\r\n\r\n`;

export const invalidRequests: readonly InvalidRequest[] = [
  { name: 'both a length and chunks', bytes: `${post}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n` },
  { name: 'both chunks and a length', bytes: `${post}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n` },
  { name: 'both chunks and a length of nothing', bytes: `${post}transfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n0\r\n\r\n` },
  { name: 'two lengths that differ', bytes: `${post}content-length: 5\r\ncontent-length: 6\r\n\r\nhello` },
  { name: 'two lengths that are the same', bytes: `${post}content-length: 5\r\nContent-Length: 5\r\n\r\nhello` },
  { name: 'a list of lengths', bytes: `${post}content-length: 5, 5\r\n\r\nhello` },
  { name: 'a length with a sign', bytes: `${post}content-length: +5\r\n\r\nhello` },
  { name: 'a length below nothing', bytes: `${post}content-length: -5\r\n\r\nhello` },
  { name: 'a length with a space in it', bytes: `${post}content-length: 1 0\r\n\r\nhello` },
  { name: 'a length in hexadecimal', bytes: `${post}content-length: 0x5\r\n\r\nhello` },
  { name: 'a length in other digits', bytes: `${post}content-length: \xb2\r\n\r\nhello` },
  { name: 'a length with a point', bytes: `${post}content-length: 5.0\r\n\r\nhello` },
  { name: 'an empty length', bytes: `${post}content-length: \r\n\r\n` },
  { name: 'a length beyond all numbers', bytes: `${post}content-length: 18446744073709551621\r\n\r\nhello` },
  { name: 'a length beyond what a double holds', bytes: `${post}content-length: 9007199254740993\r\n\r\nhello` },
  { name: 'another transfer encoding', bytes: `${post}transfer-encoding: gzip\r\n\r\n0\r\n\r\n` },
  { name: 'chunked behind another encoding', bytes: `${post}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`, node: 'accepts' },
  { name: 'chunked before another encoding', bytes: `${post}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n` },
  { name: 'chunked twice', bytes: `${post}transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n` },
  { name: 'chunked in two headers', bytes: `${post}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n` },
  { name: 'the identity encoding', bytes: `${post}transfer-encoding: identity\r\n\r\n` },
  { name: 'an empty transfer encoding', bytes: `${post}transfer-encoding:\r\n\r\n` },
  { name: 'chunked with something behind it', bytes: `${post}transfer-encoding: chunked;a=b\r\n\r\n0\r\n\r\n` },
  { name: 'chunked behind a vertical tab', bytes: `${post}transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n` },
  { name: 'chunked behind a hard space', bytes: `${post}transfer-encoding: \xa0chunked\r\n\r\n0\r\n\r\n` },
  { name: 'chunks in HTTP/1.0', bytes: 'POST /a HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', node: 'accepts' },
  { name: 'a folded header', bytes: `${get}x-a: b\r\n c\r\n\r\n` },
  { name: 'a folded header, with a tab', bytes: `${get}x-a: b\r\n\tc\r\n\r\n` },
  { name: 'a fold before the first header', bytes: `GET /a HTTP/1.1\r\n ${host}\r\n` },
  { name: 'a space before the colon', bytes: `${get}x-a : b\r\n\r\n` },
  { name: 'a tab before the colon', bytes: `${get}content-length\t: 5\r\n\r\nhello` },
  { name: 'a space in a name', bytes: `${get}x a: b\r\n\r\n` },
  { name: 'a header without a colon', bytes: `${get}x-a\r\n\r\n` },
  { name: 'a header without a name', bytes: `${get}: b\r\n\r\n` },
  ...['(', ')', ',', '/', ';', '<', '=', '>', '?', '@', '[', '\\', ']', '{', '}', '"', '\x7f', '\x80', '\xff'].map((char) => ({
    name: `a name with ${JSON.stringify(char)}`,
    bytes: `${get}x${char}a: b\r\n\r\n`,
  })),
  { name: 'bare LF after the request line', bytes: `GET /a HTTP/1.1\n${host}\r\n` },
  { name: 'bare LF after a header', bytes: `${get}x-a: b\nx-c: d\r\n\r\n` },
  { name: 'bare LF at the end', bytes: `${get}\n` },
  { name: 'bare LF everywhere', bytes: 'GET /a HTTP/1.1\nhost: x\n\n' },
  { name: 'LF before the request', bytes: `\n${get}\r\n`, node: 'accepts' },
  { name: 'bare CR in a value', bytes: `${get}x-a: b\rc\r\n\r\n` },
  { name: 'bare CR after a header', bytes: `${get}x-a: b\rx-c: d\r\n\r\n` },
  { name: 'CR twice before LF', bytes: `${get}x-a: b\r\r\n\r\n` },
  { name: 'bare CR at the end', bytes: `${get}\r\r\n` },
  { name: 'bare CR before the request', bytes: `\r${get}\r\n`, node: 'accepts' },
  ...['\0', '\x01', '\x08', '\x0b', '\x0c', '\x1f', '\x7f'].map((char) => ({
    name: `a value with ${JSON.stringify(char)}`,
    bytes: `${get}x-a: b${char}c\r\n\r\n`,
  })),
  { name: 'NUL in the target', bytes: `GET /a\0b HTTP/1.1\r\n${host}\r\n` },
  { name: 'NUL in a name', bytes: `${get}x\0a: b\r\n\r\n` },
  { name: 'a method with a bracket', bytes: `GE(T /a HTTP/1.1\r\n${host}\r\n` },
  { name: 'a method with a colon', bytes: `GET: /a HTTP/1.1\r\n${host}\r\n` },
  { name: 'no method', bytes: ` /a HTTP/1.1\r\n${host}\r\n` },
  { name: 'a space before the method', bytes: ` GET /a HTTP/1.1\r\n${host}\r\n` },
  { name: 'two spaces before the target', bytes: `GET  /a HTTP/1.1\r\n${host}\r\n`, node: 'accepts' },
  { name: 'a tab before the target', bytes: `GET\t/a HTTP/1.1\r\n${host}\r\n` },
  { name: 'two spaces before the version', bytes: `GET /a  HTTP/1.1\r\n${host}\r\n`, node: 'accepts' },
  { name: 'a space behind the version', bytes: `GET /a HTTP/1.1 \r\n${host}\r\n` },
  { name: 'no target', bytes: `GET HTTP/1.1\r\n${host}\r\n` },
  { name: 'an empty target', bytes: `GET  HTTP/1.1\r\n${host}\r\n` },
  { name: 'a target without a slash', bytes: `GET a HTTP/1.1\r\n${host}\r\n` },
  { name: 'a target with a space', bytes: `GET /a b HTTP/1.1\r\n${host}\r\n` },
  { name: 'a target in UTF-8', bytes: `GET /\xc3\xa9 HTTP/1.1\r\n${host}\r\n` },
  { name: 'a target with a fragment', bytes: `GET /a#b HTTP/1.1\r\n${host}\r\n`, node: 'accepts' },
  { name: 'an address of another scheme', bytes: `GET ftp://y/a HTTP/1.1\r\n${host}\r\n`, node: 'accepts' },
  { name: 'an address without a host', bytes: `GET http:///a HTTP/1.1\r\n${host}\r\n`, node: 'accepts' },
  { name: 'an asterisk with something behind it', bytes: `OPTIONS *a HTTP/1.1\r\n${host}\r\n`, node: 'accepts' },
  { name: 'a tunnel', bytes: `CONNECT y:443 HTTP/1.1\r\n${host}\r\n` },
  { name: 'a tunnel with a path', bytes: `CONNECT /a HTTP/1.1\r\n${host}\r\n` },
  { name: 'HTTP/0.9', bytes: 'GET /a\r\n\r\n', node: 'accepts' },
  { name: 'HTTP/1.2', bytes: `GET /a HTTP/1.2\r\n${host}\r\n` },
  { name: 'HTTP/1.10', bytes: `GET /a HTTP/1.10\r\n${host}\r\n` },
  { name: 'HTTP/1', bytes: `GET /a HTTP/1\r\n${host}\r\n` },
  { name: 'HTTP/2.0', bytes: `GET /a HTTP/2.0\r\n${host}\r\n`, node: 'accepts' },
  { name: 'HTTP/0.1', bytes: `GET /a HTTP/0.1\r\n${host}\r\n` },
  { name: 'http/1.1', bytes: `GET /a http/1.1\r\n${host}\r\n` },
  { name: 'the preface of HTTP/2', bytes: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' },
  { name: 'another protocol', bytes: `GET /a RTSP/1.0\r\n${host}\r\n`, node: 'accepts' },
  { name: 'TLS', bytes: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' },
  { name: 'no host', bytes: 'GET /a HTTP/1.1\r\n\r\n' },
  { name: 'two hosts', bytes: `${get}host: y\r\n\r\n`, node: 'accepts' },
  { name: 'two hosts that are the same', bytes: `${get}Host: x\r\n\r\n`, node: 'accepts' },
  { name: 'two hosts in HTTP/1.0', bytes: `GET /a HTTP/1.0\r\n${host}${host}\r\n`, node: 'accepts' },
  { name: 'an expectation that nobody can meet', bytes: `${post}expect: x\r\ncontent-length: 5\r\n\r\nhello`, refusal: 'expectation_failed' },
  { name: 'two expectations', bytes: `${post}expect: 100-continue\r\nexpect: x\r\ncontent-length: 5\r\n\r\nhello`, refusal: 'expectation_failed', node: 'accepts' },
  { name: 'a chunk size with a sign', bytes: chunk('+5\r\nhello') },
  { name: 'a chunk size below nothing', bytes: chunk('-5\r\nhello') },
  { name: 'a chunk size with 0x', bytes: chunk('0x5\r\nhello') },
  { name: 'a chunk size with a space before it', bytes: chunk(' 5\r\nhello') },
  { name: 'a chunk size with a space behind it', bytes: chunk('5 \r\nhello') },
  { name: 'a chunk size with a tab behind it', bytes: chunk('5\t\r\nhello') },
  { name: 'a chunk size with a space before the extension', bytes: chunk('5 ;a\r\nhello') },
  { name: 'no chunk size', bytes: chunk('\r\nhello') },
  { name: 'a last chunk without a size', bytes: `${chunked}\r\n\r\n` },
  { name: 'a last chunk of an extension alone', bytes: `${chunked};a\r\n\r\n` },
  { name: 'an extension without a chunk size', bytes: chunk(';a\r\nhello') },
  { name: 'a chunk size of another alphabet', bytes: chunk('5g\r\nhello') },
  { name: 'a chunk size beyond all numbers', bytes: chunk('10000000000000005\r\nhello') },
  { name: 'a chunk size of many zeros', bytes: chunk('00000000000005\r\nhello'), node: 'accepts' },
  { name: 'bare LF behind a chunk size', bytes: chunk('5\nhello') },
  { name: 'bare CR behind a chunk size', bytes: chunk('5\rhello') },
  { name: 'a chunk longer than its size', bytes: chunk('5\r\nhello!') },
  { name: 'a chunk without its line end', bytes: `${chunked}5\r\nhello0\r\n\r\n` },
  { name: 'a chunk with a bare LF behind it', bytes: `${chunked}5\r\nhello\n0\r\n\r\n` },
  { name: 'bare LF in an extension', bytes: chunk('5;a\nb\r\nhello') },
  { name: 'NUL in an extension', bytes: chunk('5;a\0b\r\nhello') },
  { name: 'an endless extension', bytes: chunk(`5;${'a'.repeat(20_000)}\r\nhello`) },
  { name: 'a trailer without a colon', bytes: `${chunked}0\r\nx-a\r\n\r\n` },
  { name: 'a trailer with a space before the colon', bytes: `${chunked}0\r\nx-a : b\r\n\r\n` },
  { name: 'a folded trailer', bytes: `${chunked}0\r\nx-a: b\r\n c\r\n\r\n` },
  { name: 'a trailer with a bare LF', bytes: `${chunked}0\r\nx-a: b\n\r\n` },
  { name: 'a length among the trailers', bytes: `${chunked}0\r\ncontent-length: 5\r\n\r\n` },
  { name: 'an encoding among the trailers', bytes: `${chunked}0\r\ntransfer-encoding: chunked\r\n\r\n` },
  { name: 'a host among the trailers', bytes: `${chunked}0\r\nhost: y\r\n\r\n`, node: 'accepts' },
  { name: 'headers over 16 KiB', bytes: fill(16 * 1024 + 1), refusal: 'headers_too_large', node: 'accepts' },
  { name: 'headers far over 16 KiB', bytes: fill(20_000), refusal: 'headers_too_large' },
  { name: 'a target over 16 KiB', bytes: `GET /${'a'.repeat(17_000)} HTTP/1.1\r\n${host}\r\n`, refusal: 'headers_too_large' },
  { name: 'a method over 16 KiB', bytes: `${'A'.repeat(17_000)} / HTTP/1.1\r\n${host}\r\n`, refusal: 'headers_too_large' },
  { name: 'headers that do not end', bytes: `${get}${'x-a: b\r\n'.repeat(3000)}`, refusal: 'headers_too_large' },
  { name: 'empty lines that do not end', bytes: '\r\n'.repeat(10_000), refusal: 'headers_too_large' },
  { name: 'trailers over 16 KiB', bytes: `${chunked}0\r\n${fillTrailers(20_000)}`, refusal: 'headers_too_large' },
]; // prettier-ignore

/** A request whose head is of so many bytes. */
function fill(bytes: number): string {
  const around = `${get}x-a: \r\n\r\n`.length;
  return `${get}x-a: ${'y'.repeat(bytes - around)}\r\n\r\n`;
}

function fillTrailers(bytes: number): string {
  return `x-a: ${'y'.repeat(bytes - 'x-a: \r\n\r\n'.length)}\r\n\r\n`;
}
