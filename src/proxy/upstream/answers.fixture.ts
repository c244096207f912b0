import type { UpstreamFailure } from './client.ts';

/** A valid answer and what the client must make of it. */
export interface ValidAnswer {
  readonly name: string;
  readonly bytes: string;
  readonly method?: string;
  readonly status?: number;
  readonly body?: string;
  /** Headers handed on, as name: value lines in their order. */
  readonly headers?: readonly string[];
  /** Whether the connection may carry another exchange. */
  readonly reusable: boolean;
  /** Whether the engine closes the connection behind it. */
  readonly closes?: boolean;
  /** What undici makes of it instead. */
  readonly undici?: UpstreamFailure | 'closed';
}

const ok = 'HTTP/1.1 200 OK\r\n';
const chunked = `${ok}transfer-encoding: chunked\r\n\r\n`;

export const validAnswers: readonly ValidAnswer[] = [
  {
    name: 'a body with a length',
    bytes: `${ok}Date: today\r\nContent-Length: 5\r\n\r\nhello`,
    body: 'hello',
    headers: ['Date: today', 'Content-Length: 5'],
    reusable: true,
  },
  { name: 'an empty body', bytes: `${ok}content-length: 0\r\n\r\n`, body: '', reusable: true },
  { name: 'one chunk', bytes: `${chunked}5\r\nhello\r\n0\r\n\r\n`, body: 'hello', headers: [], reusable: true },
  {
    name: 'many chunks',
    bytes: `${chunked}1\r\nh\r\n2\r\nel\r\n0000002\r\nlo\r\na\r\n, world!!!\r\nA\r\n0123456789\r\n0\r\n\r\n`,
    body: 'hello, world!!!0123456789',
    reusable: true,
  },
  {
    name: 'chunk extensions and trailers',
    bytes: `${chunked}5;a=b;c="d"\r\nhello\r\n0;last\r\nx-digest: 1\r\nx-more: 2\r\n\r\n`,
    body: 'hello',
    reusable: true,
  },
  {
    name: 'chunk data that looks like framing',
    bytes: `${chunked}c\r\n\r\n0\r\n\r\nHTTP/\r\n0\r\n\r\n`,
    body: '\r\n0\r\n\r\nHTTP/',
    reusable: true,
  },
  { name: 'a body up to the close', bytes: `${ok}\r\nhello`, body: 'hello', reusable: false, closes: true },
  {
    name: 'HTTP/1.0',
    bytes: 'HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello',
    body: 'hello',
    reusable: false,
  },
  {
    name: 'a connection to be closed',
    bytes: `${ok}connection: Close\r\ncontent-length: 5\r\n\r\nhello`,
    body: 'hello',
    reusable: false,
  },
  {
    name: 'a length given twice alike',
    bytes: `${ok}content-length: 5\r\ncontent-length: 5\r\n\r\nhello`,
    body: 'hello',
    headers: ['content-length: 5'],
    reusable: true,
    undici: 'invalid',
  },
  {
    name: 'the head of a HEAD',
    bytes: `${ok}content-length: 5\r\nconnection: keep-alive\r\n\r\n`,
    method: 'HEAD',
    body: '',
    reusable: true,
    undici: 'closed',
  },
  {
    name: 'the head of a chunked HEAD',
    bytes: `${chunked.replace('\r\n\r\n', '\r\nconnection: keep-alive\r\n\r\n')}`,
    method: 'HEAD',
    body: '',
    reusable: true,
    undici: 'closed',
  },
  { name: 'a 204', bytes: 'HTTP/1.1 204 No Content\r\n\r\n', status: 204, body: '', reusable: true },
  {
    name: 'a 204 that announces a body',
    bytes: 'HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n',
    status: 204,
    body: '',
    reusable: false,
  },
  {
    name: 'a 304 with the length of what it does not send',
    bytes: 'HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n',
    status: 304,
    body: '',
    reusable: true,
    undici: 'closed',
  },
  {
    name: 'interim answers before the answer',
    bytes: `HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${ok}content-length: 2\r\n\r\nhi`,
    body: 'hi',
    headers: ['content-length: 2'],
    reusable: true,
  },
  {
    name: 'an unasked 100',
    bytes: `HTTP/1.1 100 Continue\r\n\r\n${ok}content-length: 2\r\n\r\nhi`,
    body: 'hi',
    reusable: true,
    undici: 'invalid',
  },
  {
    name: 'headers of one hop only',
    bytes:
      `${ok}Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=9\r\nX-Hop: 1\r\nProxy-Authenticate: Basic\r\n` +
      'Upgrade: h2c\r\nTE: trailers\r\nTrailer: x\r\nX-End: 2\r\ncontent-length: 0\r\n\r\n',
    body: '',
    headers: ['X-End: 2', 'content-length: 0'],
    reusable: true,
  },
  {
    name: 'white space around values, empty values and bytes over ASCII',
    bytes: `${ok}a: \t 1 2\r\nb:\r\nc:   \r\nd:\xe9\r\ncontent-length: 5\r\n\r\nhello`,
    body: 'hello',
    headers: ['a: 1 2', 'b: ', 'c: ', 'd: \xe9', 'content-length: 5'],
    reusable: true,
  },
  {
    name: 'white space behind values and around a length',
    bytes: `${ok}a: 1 \t\r\ncontent-length:\t5 \r\n\r\nhello`,
    body: 'hello',
    headers: ['a: 1', 'content-length: 5'],
    reusable: true,
    undici: 'cut',
  },
  {
    name: 'an error of the engine',
    bytes: 'HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 4\r\n\r\nbusy',
    status: 503,
    body: 'busy',
    headers: ['retry-after: 1', 'content-length: 4'],
    reusable: true,
  },
  { name: 'no reason phrase', bytes: 'HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n', body: '', reusable: true },
  { name: 'no space before no reason', bytes: 'HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n', body: '', reusable: true },
  {
    name: '200 headers',
    bytes: `${ok}${'a: b\r\n'.repeat(199)}content-length: 0\r\n\r\n`,
    body: '',
    reusable: true,
  },
  {
    name: 'bytes behind the end',
    bytes: `${ok}content-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison`,
    body: 'hello',
    reusable: false,
  },
  {
    name: 'bytes behind the last chunk',
    bytes: `${chunked}5\r\nhello\r\n0\r\n\r\n0\r\n\r\n`,
    body: 'hello',
    reusable: false,
  },
];

/** An answer that two readers could take for two things, or that is no answer at all. */
export interface InvalidAnswer {
  readonly name: string;
  readonly bytes: string;
  /** Where undici's parser is less strict, or calls it something else. */
  readonly undici?: UpstreamFailure | 'accepts';
}

const body = '\r\n\r\nhello';
const withHeader = (line: string): string => `${ok}content-length: 5\r\n${line}${body}`;
const withChunk = (bytes: string): string => `${chunked}${bytes}\r\n0\r\n\r\n`;

export const invalidAnswers: readonly InvalidAnswer[] = [
  { name: 'both framings', bytes: `${ok}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n` },
  {
    name: 'both framings, the other way round',
    bytes: `${ok}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n`,
  },
  { name: 'two lengths', bytes: `${ok}content-length: 5\r\ncontent-length: 6${body}` },
  { name: 'two spellings of a length', bytes: `${ok}content-length: 5\r\ncontent-length: 05${body}` },
  { name: 'a list of lengths', bytes: `${ok}content-length: 5, 5${body}` },
  { name: 'a negative length', bytes: `${ok}content-length: -5${body}` },
  { name: 'a signed length', bytes: `${ok}content-length: +5${body}` },
  { name: 'a hexadecimal length', bytes: `${ok}content-length: 0x5${body}` },
  { name: 'a length with a fraction', bytes: `${ok}content-length: 5.0${body}` },
  { name: 'a length with an exponent', bytes: `${ok}content-length: 5e0${body}` },
  { name: 'a length of two words', bytes: `${ok}content-length: 5 5${body}` },
  { name: 'an empty length', bytes: `${ok}content-length:${body}` },
  { name: 'a length beyond exact numbers', bytes: `${ok}content-length: 99999999999999999999${body}` },
  { name: 'a length in other digits', bytes: `${ok}content-length: \xb2${body}` },
  { name: 'an unknown transfer coding', bytes: `${ok}transfer-encoding: gzip${body}`, undici: 'accepts' },
  {
    name: 'a second transfer coding',
    bytes: `${ok}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    undici: 'accepts',
  },
  { name: 'identity as a transfer coding', bytes: `${ok}transfer-encoding: identity${body}`, undici: 'accepts' },
  { name: 'chunked, almost', bytes: `${ok}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n`, undici: 'accepts' },
  { name: 'chunked with a vertical tab', bytes: `${ok}transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n` },
  {
    name: 'chunked twice',
    bytes: `${ok}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    undici: 'accepts',
  },
  {
    name: 'chunked in a list twice',
    bytes: `${ok}transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n`,
    undici: 'accepts',
  },
  { name: 'an empty transfer coding', bytes: `${ok}transfer-encoding:\r\n\r\n0\r\n\r\n`, undici: 'accepts' },
  {
    name: 'chunked in HTTP/1.0',
    bytes: 'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    undici: 'accepts',
  },
  { name: 'a space before the colon', bytes: withHeader('x : y') },
  { name: 'a space before the colon of a length', bytes: `${ok}content-length : 5${body}` },
  { name: 'a folded header', bytes: withHeader('x: a\r\n b') },
  { name: 'a folded header, by a tab', bytes: withHeader('x: a\r\n\tb') },
  { name: 'white space before the first header', bytes: `${ok} content-length: 5${body}` },
  { name: 'a header without a colon', bytes: withHeader('x') },
  { name: 'a header without a name', bytes: withHeader(': y') },
  { name: 'a header name with a slash', bytes: withHeader('a/b: y') },
  { name: 'a header name over ASCII', bytes: withHeader('\xe9: y') },
  { name: 'a header name with a NUL', bytes: withHeader('a\0b: y') },
  { name: 'a NUL in a value', bytes: withHeader('x: a\0b') },
  { name: 'a bell in a value', bytes: withHeader('x: a\x07b') },
  { name: 'a DEL in a value', bytes: withHeader('x: a\x7fb') },
  { name: 'a bare CR in a value', bytes: withHeader('x: a\rb') },
  { name: 'a bare CR before another header', bytes: withHeader('x: a\rtransfer-encoding: chunked') },
  { name: 'a bare LF between headers', bytes: withHeader('x: a\ny: b') },
  { name: 'CR CR LF', bytes: withHeader('x: a\r\r\ny: b') },
  { name: 'bare LFs all over', bytes: 'HTTP/1.1 200 OK\ncontent-length: 5\n\nhello' },
  { name: 'an empty line of one LF', bytes: `${ok}content-length: 5\r\n\nhello` },
  { name: 'an empty line first', bytes: `\r\n${ok}content-length: 5${body}`, undici: 'accepts' },
  { name: 'more than 200 headers', bytes: `${ok}${'a: b\r\n'.repeat(200)}content-length: 5${body}`, undici: 'accepts' },
  { name: 'a head over 64 KiB', bytes: `${ok}x: ${'a'.repeat(70_000)}\r\ncontent-length: 5${body}` },
  { name: 'a head that never ends', bytes: `${ok}x: ${'a'.repeat(70_000)}` },
  { name: 'HTTP/2.0', bytes: 'HTTP/2.0 200 OK\r\ncontent-length: 5\r\n\r\nhello', undici: 'accepts' },
  { name: 'HTTP/1.2', bytes: 'HTTP/1.2 200 OK\r\ncontent-length: 5\r\n\r\nhello' },
  { name: 'HTTP/0.9', bytes: '<html>hello</html>' },
  { name: 'lower-case http', bytes: 'http/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello' },
  { name: 'two spaces before the status', bytes: 'HTTP/1.1  200 OK\r\ncontent-length: 5\r\n\r\nhello' },
  { name: 'a status of two digits', bytes: 'HTTP/1.1 20 OK\r\ncontent-length: 5\r\n\r\nhello' },
  { name: 'a status of four digits', bytes: 'HTTP/1.1 2000 OK\r\ncontent-length: 5\r\n\r\nhello' },
  { name: 'a status of letters', bytes: 'HTTP/1.1 abc OK\r\ncontent-length: 5\r\n\r\nhello' },
  { name: 'status 000', bytes: 'HTTP/1.1 000 OK\r\ncontent-length: 5\r\n\r\nhello', undici: 'reset' },
  { name: 'status 999', bytes: 'HTTP/1.1 999 OK\r\ncontent-length: 5\r\n\r\nhello', undici: 'accepts' },
  {
    name: 'a control character in the reason',
    bytes: 'HTTP/1.1 200 O\x01K\r\ncontent-length: 5\r\n\r\nhello',
    undici: 'accepts',
  },
  { name: 'a request', bytes: 'GET / HTTP/1.1\r\nhost: x\r\n\r\n' },
  { name: 'a greeting of SSH', bytes: 'SSH-2.0-OpenSSH_9.6\r\n' },
  { name: 'an alert of TLS', bytes: '\x15\x03\x01\x00\x02\x02\x46' },
  { name: 'a frame of HTTP/2', bytes: '\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80' },
  {
    name: 'a change of protocols',
    bytes: 'HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n',
  },
  { name: 'an interim answer with a body', bytes: 'HTTP/1.1 103 Early\r\ncontent-length: 5\r\n\r\nhello' },
  { name: 'an empty chunk size', bytes: withChunk('\r\nhello') },
  { name: 'a negative chunk size', bytes: withChunk('-5\r\nhello') },
  { name: 'a chunk size with 0x', bytes: withChunk('0x5\r\nhello') },
  { name: 'a chunk size with a space before', bytes: withChunk(' 5\r\nhello') },
  { name: 'a chunk size with a space behind', bytes: withChunk('5 \r\nhello') },
  { name: 'a chunk size with an underscore', bytes: withChunk('0_5\r\nhello') },
  { name: 'a chunk size that overflows', bytes: withChunk('10000000000000005\r\nhello') },
  { name: 'a chunk size of no hexadecimal', bytes: withChunk('g\r\nhello') },
  { name: 'a bare LF behind a chunk size', bytes: withChunk('5\nhello') },
  { name: 'a bare CR behind a chunk size', bytes: withChunk('5\rhello') },
  { name: 'a bare LF in a chunk extension', bytes: withChunk('5;a\nb\r\nhello') },
  { name: 'a NUL in a chunk extension', bytes: withChunk('5;a\0b\r\nhello') },
  { name: 'an endless chunk extension', bytes: withChunk(`5;${'a'.repeat(20_000)}\r\nhello`), undici: 'accepts' },
  { name: 'a chunk longer than its size', bytes: withChunk('4\r\nhello') },
  { name: 'a chunk shorter than its size', bytes: withChunk('6\r\nhello') },
  { name: 'a chunk ended by LF', bytes: `${chunked}5\r\nhello\n0\r\n\r\n` },
  { name: 'a chunk ended by CR', bytes: `${chunked}5\r\nhello\r0\r\n\r\n` },
  { name: 'a bare LF behind the last chunk', bytes: `${chunked}0\n\n` },
  { name: 'a NUL in a trailer', bytes: `${chunked}0\r\nx: a\0b\r\n\r\n` },
  { name: 'a bare LF in the trailers', bytes: `${chunked}0\r\nx: a\ny: b\r\n\r\n` },
  { name: 'endless trailers', bytes: `${chunked}0\r\n${'x: y\r\n'.repeat(20_000)}`, undici: 'accepts' },
];
