import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { invalidAnswers, validAnswers, type ValidAnswer } from './answers.fixture.ts';
import { ResponseParser, type Progress } from './response-parser.ts';

/** What came out of the parser, in a form that does not depend on how the bytes came in. */
interface Parsed {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: string;
  readonly progress: Progress;
  /** Bytes behind the end, over all reads. */
  readonly surplus: boolean;
  readonly endsWithConnection: boolean;
  readonly keepAlive: boolean;
}

function parse(pieces: readonly Buffer[], headOnly = false): Parsed {
  let status = 0;
  let headers: readonly string[] = [];
  let body = '';
  let progress: Progress = 'more';
  let surplus = false;
  const parser = new ResponseParser({
    onHead: (code, list) => {
      expect(status).toBe(0);
      status = code;
      headers = list;
    },
    onBody: (chunk) => {
      expect(chunk.length).toBeGreaterThan(0);
      body += chunk.toString('latin1');
    },
  });
  parser.begin(headOnly);
  for (const piece of pieces) {
    if (progress === 'more') {
      // The reader's buffer is used again: what the parser keeps must be its own.
      const bytes = Buffer.from(piece);
      progress = parser.push(bytes, bytes.length);
      surplus = parser.surplus;
      bytes.fill(0xff);
    } else if (progress === 'done' && piece.length > 0) {
      surplus = true;
    }
  }
  const keepAlive = status > 0 && parser.head.keepAlive;
  const endsWithConnection = progress === 'more' && parser.endsWithConnection();
  expect(parser.fault !== '').toBe(progress === 'invalid');
  return { status, headers, body, progress, surplus, endsWithConnection, keepAlive };
}

function parseText(bytes: string, method?: string): Parsed {
  return parse([Buffer.from(bytes, 'latin1')], method === 'HEAD');
}

/** The text cut at the given places. */
function cut(text: string, places: readonly number[]): Buffer[] {
  const bytes = Buffer.from(text, 'latin1');
  const cuts = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return cuts.slice(1).map((end, i) => bytes.subarray(cuts[i], end));
}

function lines(headers: readonly string[]): string[] {
  return headers.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${headers[i + 1]}`] : []));
}

const short = (answer: ValidAnswer | { bytes: string }): boolean => answer.bytes.length < 2_000;

describe('ResponseParser', () => {
  it.each(validAnswers)('reads $name', ({ bytes, method, status, body, headers, closes, reusable }) => {
    const parsed = parseText(bytes, method);
    expect(parsed.status).toBe(status ?? 200);
    expect(parsed.body).toBe(body);
    if (headers !== undefined) expect(lines(parsed.headers)).toEqual(headers);
    expect(parsed.progress).toBe(closes === true ? 'more' : 'done');
    expect(parsed.endsWithConnection).toBe(closes === true);
    expect(parsed.keepAlive && !parsed.surplus).toBe(reusable);
  });

  it.each(invalidAnswers)('refuses $name', ({ bytes }) => {
    const parsed = parseText(bytes);
    expect(parsed.progress).toBe('invalid');
  });

  it.each([...validAnswers, ...invalidAnswers].filter(short))('reads $name alike, wherever it is cut', (answer) => {
    const method = 'method' in answer ? answer.method : undefined;
    const whole = parseText(answer.bytes, method);
    for (let at = 0; at <= answer.bytes.length; at++) {
      expect(parse(cut(answer.bytes, [at]), method === 'HEAD'), `cut at ${at}`).toEqual(whole);
    }
    const single = cut(
      answer.bytes,
      Array.from({ length: answer.bytes.length }, (_, at) => at),
    );
    expect(parse(single, method === 'HEAD')).toEqual(whole);
  });

  it('reads any answer alike, cut anyhow', () => {
    const answers = [...validAnswers, ...invalidAnswers].filter(short);
    fc.assert(
      fc.property(fc.constantFrom(...answers), fc.array(fc.nat(2_000), { maxLength: 12 }), ({ bytes }, places) => {
        expect(parse(cut(bytes, places))).toEqual(parseText(bytes));
      }),
      { numRuns: 2_000 },
    );
  });

  it('gives back the body of any chunking', () => {
    const chunk = fc.uint8Array({ minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 20 }), fc.array(fc.nat(6_000), { maxLength: 6 }), (chunks, places) => {
        const frames = chunks.map(
          (data) => `${data.length.toString(16)}\r\n${Buffer.from(data).toString('latin1')}\r\n`,
        );
        const bytes = `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${frames.join('')}0\r\n\r\n`;
        const parsed = parse(cut(bytes, places));
        expect(parsed.progress).toBe('done');
        expect(parsed.body).toBe(Buffer.concat(chunks).toString('latin1'));
      }),
    );
  });

  it('neither throws nor reads past the end, whatever is changed in an answer', () => {
    const mutation = fc.record({ at: fc.nat(600), remove: fc.nat(4), insert: fc.uint8Array({ maxLength: 4 }) });
    const mutations = fc.array(mutation, { minLength: 1, maxLength: 4 });
    const answers = validAnswers.filter(short);
    fc.assert(
      fc.property(fc.constantFrom(...answers), mutations, fc.nat(600), ({ bytes }, changes, place) => {
        let mutated = bytes;
        for (const { at, remove, insert } of changes) {
          const start = at % (mutated.length + 1);
          mutated = mutated.slice(0, start) + Buffer.from(insert).toString('latin1') + mutated.slice(start + remove);
        }
        const parsed = parseText(mutated);
        expect(parsed.body.length).toBeLessThanOrEqual(mutated.length);
        expect(parse(cut(mutated, [place]))).toEqual(parsed);
      }),
      { numRuns: 5_000 },
    );
  });

  it('hands on one piece for each read, however many chunks it holds', () => {
    const pieces: string[] = [];
    const parser = new ResponseParser({ onHead: () => undefined, onBody: (chunk) => pieces.push(chunk.toString()) });
    parser.begin(false);
    const bytes = Buffer.from('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n');
    expect(parser.push(bytes, bytes.length)).toBe('more');
    expect(pieces).toEqual(['abcdef']);
  });

  it('hands on what came before a fault', () => {
    const parsed = parseText('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nZZ');
    expect(parsed).toMatchObject({ status: 200, body: 'hello', progress: 'invalid' });
  });

  it('refuses interim answers that do not end', () => {
    expect(parseText('HTTP/1.1 100 Continue\r\n\r\n'.repeat(5000)).progress).toBe('invalid');
  });

  it('tells a stranger by its first bytes', () => {
    expect(parseText('SSH-').progress).toBe('invalid');
    expect(parseText('HTTP').progress).toBe('more');
  });
});
