import { seeded } from '../../../src/sim/random.ts';

/** Chance that is the same for the same seed. */
export class Chance {
  /** Uniform in [0, 1). */
  readonly next: () => number;

  constructor(seed: number) {
    this.next = seeded(seed);
  }

  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)];
  }
}

/** A few bytes changed, left out, put in, doubled or cut off. */
export function mutateBytes(bytes: Buffer, chance: Chance): Buffer {
  let mutant = bytes;
  for (let left = 1 + chance.below(4); left > 0; left--) mutant = mutateOnce(mutant, chance);
  return mutant;
}

const telling = [
  '"',
  '\\',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  '\t',
  ';',
  '0',
  '-',
  '\xff',
  '\xc3',
];

function mutateOnce(bytes: Buffer, chance: Chance): Buffer {
  const at = chance.below(bytes.length + 1);
  const to = Math.min(bytes.length, at + 1 + chance.below(12));
  const put = (middle: Buffer, rest: number): Buffer =>
    Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(rest)]);
  switch (chance.below(6)) {
    case 0:
      return put(Buffer.from([chance.below(256)]), at + 1);
    case 1:
      return put(Buffer.from(chance.of(telling), 'latin1'), at);
    case 2:
      return put(Buffer.from(chance.of(telling), 'latin1'), to);
    case 3:
      return put(Buffer.alloc(0), to);
    case 4:
      return put(bytes.subarray(at, to), at);
    default:
      return bytes.subarray(0, at);
  }
}

const names = ['model', 'messages', 'stream', 'prompt', 'user', 'n', 'kv_transfer_params', 'stream_options', '__proto__', 'constructor', 'toString', '', 'é', 'input', 'cache_salt', 'max_tokens']; // prettier-ignore

/** Values as JSON text: what a serialiser would not write is wanted, too. */
const values = ['null', 'true', '""', '"m"', '"asked"', '0', '-0', '1.0', '1e999', '9223372036854775807', '[]', '{}', '[[]]', '"\\u0000"', '"\\ud800"', '"\\u006d"', '"😀"', '[null]', '[{"role":"user","content":null}]', '[{"role":7,"content":[{"type":"text"}]}]', '{"model":"m"}', '"model"', '[1,2,3]', '[[1],[2]]', '{"__proto__":{"x":1}}', `"${'x'.repeat(5000)}"`, `${'['.repeat(3000)}${']'.repeat(3000)}`, `${'{"a":'.repeat(500)}1${'}'.repeat(500)}`]; // prettier-ignore

/** The body of a request, mostly JSON, of which parts are missing, wrong, doubled or strange. */
export function mutateBody(chance: Chance): Buffer {
  const members = ['"model":"m"', '"messages":[{"role":"user","content":"Hello there."}]', '"max_tokens":1'];
  if (chance.below(3) === 0) members[0] = '"model":"asked"';
  for (let left = chance.below(4); left > 0; left--) {
    const at = chance.below(members.length + 1);
    const name = chance.below(8) === 0 ? '"mod\\u0065l"' : JSON.stringify(chance.of(names));
    members.splice(at, chance.below(2), `${name}${chance.of([':', ' :', ':\n'])}${chance.of(values)}`);
  }
  const body = Buffer.from(`{${members.join(',')}}`);
  return chance.below(2) === 0 ? body : mutateBytes(body, chance);
}

const inner = '{"model":"smuggled"}';
const smuggled = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${inner.length}\r\n\r\n${inner}`;
const json = '{"model":"m","messages":[],"max_tokens":1}';
const hex = json.length.toString(16);
const chunked = `${hex}\r\n${json}\r\n0\r\n\r\n`;
const targets = ['/v1/chat/completions', '/v1/chat/completions?x=%0d%0a', '/v1/models', '/v1/models/m', '/v1/chat/../admin', 'http://127.0.0.1/v1/models', '*', '/', '/v1/models/%zz', '//v1/models', '/\\v1', 'x']; // prettier-ignore
const methods = ['POST', 'POST', 'POST', 'GET', 'HEAD', 'PUT', 'CONNECT', 'TRACE', 'post', 'PRI', 'X'];
const versions = ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/1.1 ', 'http/1.1', ''];
const framings = [
  [`content-length: ${json.length}`, json],
  ['transfer-encoding: chunked', chunked],
  [`content-length: ${json.length}\r\ntransfer-encoding: chunked`, chunked],
  [`transfer-encoding: chunked\r\ncontent-length: 5`, chunked + smuggled],
  [`content-length: ${json.length}\r\ncontent-length: ${json.length + 5}`, json + smuggled],
  [`content-length: ${json.length}, ${json.length}`, json],
  [`content-length: +${json.length}`, json],
  ['content-length: -1', json],
  ['content-length: 0x2a', json],
  ['content-length: 99999999999999999999', json],
  ['content-length : 42', json],
  ['transfer-encoding : chunked', chunked + smuggled],
  ['transfer-encoding: chunked, identity', chunked + smuggled],
  ['transfer-encoding: identity', json + smuggled],
  ['transfer-encoding: xchunked', chunked + smuggled],
  ['transfer-encoding:\tchunked', chunked],
  ['transfer-encoding: chunked\r\ntransfer-encoding: chunked', chunked],
  ['transfer-encoding:\r\n chunked', chunked + smuggled],
  ['transfer-encoding: chunked', `0x${hex}\r\n${json}\r\n0\r\n\r\n`],
  ['transfer-encoding: chunked', `${hex};ext="a\r\n${json}\r\n0\r\n\r\n`],
  ['transfer-encoding: chunked', `${hex}\n${json}\n0\n\n${smuggled}`],
  ['transfer-encoding: chunked', `${hex}\r\n${json}0\r\n\r\n${smuggled}`],
  ['transfer-encoding: chunked', `ffffffffffffffff\r\n${json}\r\n`],
  ['transfer-encoding: chunked', `-1\r\n${json}\r\n0\r\n\r\n`],
  ['transfer-encoding: chunked\r\ntrailer: x', `${hex}\r\n${json}\r\n0\r\nx-openfuyao-a: b\r\n\r\n${smuggled}`],
  ['', json + smuggled],
] as const;
const headers = ['x: y', 'x\0: y', 'x: \0', 'x : y', ' x: y', 'x: a\rb', 'x: a\n b', ': y', 'x', 'host: a\r\nhost: b', 'host: ', 'expect: 100-continue', 'expect: magic', 'upgrade: websocket\r\nconnection: upgrade', 'upgrade: h2c\r\nconnection: upgrade, http2-settings', 'connection: close', 'connection: content-length, host', 'connection: transfer-encoding', 'x-request-id: a\tb', `x: ${'y'.repeat(17_000)}`, 'content-type: text/plain', 'content-type: application/json;\xff', 'x: \xff\xfe', '\xe9: y', 'authorization: Bearer \x7f', 'te: trailers', 'cookie: \r\n\tfold']; // prettier-ignore
const strangers = [
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  '\r\n\r\n\r\n',
  '\0'.repeat(64),
  'GET\r\n\r\n',
  `POST ${'/x'.repeat(9000)} HTTP/1.1\r\n\r\n`,
];

/** The bytes that a client sends on a connection: an HTTP request in which something is wrong, and at times another one. */
export function mutateMessage(chance: Chance): Buffer {
  if (chance.below(40) === 0) return Buffer.from(chance.of(strangers), 'latin1');
  const [framing, body] = framings[chance.below(2) === 0 ? chance.below(2) : chance.below(framings.length)];
  const lines = ['host: x', 'content-type: application/json', ...(framing === '' ? [] : [framing])];
  for (let left = chance.below(3); left > 0; left--)
    lines.splice(chance.below(lines.length + 1), 0, chance.of(headers));
  const start = `${chance.of(methods)} ${chance.of(targets)} ${chance.of(versions)}`;
  const usual = 'POST /v1/chat/completions HTTP/1.1';
  const head = [chance.below(2) === 0 ? usual : start, ...lines].join('\r\n');
  const message = Buffer.from(`${head}\r\n\r\n${body}${chance.below(4) === 0 ? smuggled : ''}`, 'latin1');
  return chance.below(3) === 0 ? mutateBytes(message, chance) : message;
}
