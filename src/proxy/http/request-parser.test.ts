import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RequestHead } from './request-head.ts';
import { RequestParser } from './request-parser.ts';
import { invalidRequests, validRequests } from './requests.fixture.ts';

/** What came out of the parser, in a form that does not depend on how the bytes came in. */
interface Parsed {
  readonly head: RequestHead | null;
  readonly body: string;
  readonly state: 'more' | 'done' | 'invalid';
  readonly fault: string;
  readonly refusal: string;
  /** Bytes from the fault on, or from the end of the request. */
  readonly rest: number;
}

function parse(pieces: readonly Buffer[]): Parsed {
  let head: RequestHead | null = null;
  let body = '';
  let rest = 0;
  let state: Parsed['state'] = 'more';
  const parser = new RequestParser({
    onHead(one) {
      expect(head).toBeNull();
      head = one;
    },
    onBody(bytes, start, end) {
      expect(end).toBeGreaterThan(start);
      body += bytes.toString('latin1', start, end);
    },
  });
  for (const piece of pieces) {
    if (state !== 'more') {
      rest += piece.length;
      continue;
    }
    // The reader's buffer is used again: what the parser keeps must be its own.
    const bytes = Buffer.concat([Buffer.alloc(3, 0xfe), piece, Buffer.alloc(3, 0xfd)]);
    const at = parser.push(bytes, 3, 3 + piece.length);
    if (at < 0) state = 'invalid';
    else if (parser.isDone) {
      state = 'done';
      rest += 3 + piece.length - at;
    } else expect(at).toBe(3 + piece.length);
    bytes.fill(0xff);
  }
  // Where in a read a fault was is not told.
  if (state === 'invalid') rest = 0;
  return { head, body, state, fault: parser.fault, refusal: parser.refusal, rest };
}

const parseText = (bytes: string): Parsed => parse([Buffer.from(bytes, 'latin1')]);

/** The text cut at the given places. */
function cut(text: string, places: readonly number[]): Buffer[] {
  const bytes = Buffer.from(text, 'latin1');
  const cuts = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return cuts.slice(1).map((end, i) => bytes.subarray(cuts[i], end));
}

const singly = (text: string): Buffer[] => cut(text, Array.from(text, (_, at) => at)); // prettier-ignore
const all = [...validRequests, ...invalidRequests];
const short = all.filter(({ bytes }) => bytes.length < 2000);

describe('RequestParser', () => {
  it.each(validRequests)('reads $name', ({ bytes, method, target, headers, body = '', keepAlive }) => {
    const parsed = parseText(`${bytes}GET `);
    expect(parsed).toMatchObject({ state: 'done', body, fault: '', rest: 4 });
    if (method !== undefined) expect(parsed.head?.method).toBe(method);
    if (target !== undefined) expect(parsed.head?.target).toBe(target);
    if (headers !== undefined) expect(parsed.head?.headers).toEqual(headers);
    if (keepAlive !== undefined) expect(parsed.head?.keepAlive).toBe(keepAlive);
  });

  it.each(invalidRequests)('refuses $name', ({ bytes, refusal = 'malformed' }) => {
    const parsed = parseText(bytes);
    expect(parsed).toMatchObject({ state: 'invalid', refusal });
    expect(parsed.fault).not.toBe('');
  });

  it.each(short)('reads $name alike, wherever it is cut', ({ bytes }) => {
    const whole = parseText(bytes);
    for (let at = 0; at <= bytes.length; at++) expect(parse(cut(bytes, [at])), `cut at ${at}`).toEqual(whole);
    expect(parse(singly(bytes))).toEqual(whole);
  });

  it.each(all.filter((one) => !short.includes(one)))('reads $name alike, byte by byte', ({ bytes }) => {
    expect(parse(singly(bytes))).toEqual(parseText(bytes));
  });

  it('reads any request alike, cut anyhow', () => {
    fc.assert(
      fc.property(fc.constantFrom(...all), fc.array(fc.nat(20_000), { maxLength: 12 }), ({ bytes }, places) => {
        expect(parse(cut(bytes, places))).toEqual(parseText(bytes));
      }),
      { numRuns: 2000 },
    );
  });

  it('gives back the body of any chunking', () => {
    const piece = fc.uint8Array({ minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), fc.array(fc.nat(6000), { maxLength: 6 }), (pieces, places) => {
        const frames = pieces.map((data) => `${data.length.toString(16)}\r\n${Buffer.from(data).toString('latin1')}\r\n`);
        const bytes = `POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${frames.join('')}0\r\n\r\n`;
        expect(parse(cut(bytes, places))).toMatchObject({ state: 'done', body: Buffer.concat(pieces).toString('latin1') });
      }),
    ); // prettier-ignore
  });

  it('neither throws nor reads past the end, whatever is changed in a request', () => {
    const mutation = fc.record({ at: fc.nat(600), remove: fc.nat(4), insert: fc.uint8Array({ maxLength: 4 }) });
    const mutations = fc.array(mutation, { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.constantFrom(...short), mutations, fc.nat(600), ({ bytes }, changes, place) => {
        let mutated = bytes;
        for (const { at, remove, insert } of changes) {
          const start = at % (mutated.length + 1);
          mutated = mutated.slice(0, start) + Buffer.from(insert).toString('latin1') + mutated.slice(start + remove);
        }
        const parsed = parseText(mutated);
        expect(parsed.body.length).toBeLessThanOrEqual(mutated.length);
        expect(parse(cut(mutated, [place]))).toEqual(parsed);
      }),
      { numRuns: 5000 },
    );
  });

  it('reads one request after the other', () => {
    const methods: string[] = [];
    const parser = new RequestParser({ onHead: ({ method }) => void methods.push(method), onBody: () => undefined });
    const readable = validRequests.filter(({ bytes }) => bytes.length < 2000);
    const bytes = Buffer.from(readable.map((request) => request.bytes).join(''), 'latin1');
    let at = 0;
    for (let count = 0; count < readable.length; count++) {
      at = parser.push(bytes, at, bytes.length);
      expect(parser.isDone).toBe(true);
      parser.begin();
      expect([parser.isDone, parser.started]).toEqual([false, false]);
    }
    expect(at).toBe(bytes.length);
    expect(methods).toHaveLength(readable.length);
  });

  it('tells a stranger by its first byte', () => {
    expect(parseText('\x16').state).toBe('invalid');
  });

  it('hands on what came before a fault', () => {
    const parsed = parseText('POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nZZ');
    expect(parsed).toMatchObject({ body: 'hello', state: 'invalid' });
  });
});
