import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { noUsage, type Usage } from '../openai/usage.ts';
import { ModelRestorer } from './model-restorer.ts';
import { books, emptyBooks, openRoom, placed, type Room } from './picker.fixture.ts';
import { ResponseTail } from './response-tail.ts';

let room: Room;

beforeEach(() => {
  room = openRoom();
});

afterEach(() => {
  expect(books(room)).toEqual(emptyBooks);
});

const usage = {
  prompt_tokens: 12,
  completion_tokens: 5,
  total_tokens: 17,
  prompt_tokens_details: { cached_tokens: 8 },
};
const wanted: Usage = { promptTokens: 12, completionTokens: 5, cachedTokens: 8 };
const text = 'He said "usage": {"prompt_tokens": 9} and „ä“. '.repeat(40);
const json = JSON.stringify({
  id: 'c',
  model: 'm-fp8',
  choices: [{ message: { content: text }, model: 'm-fp8x' }],
  usage,
  kv_transfer_params: null,
});
const stream = [
  ...Array.from({ length: 20 }, () => ({ id: 'c', model: 'm-fp8', choices: [{ delta: { content: text } }] })),
  { id: 'c', model: 'm-fp8', choices: [], usage },
]
  .map((event) => `data: ${JSON.stringify(event)}\n\n`)
  .concat('data: [DONE]\n\n')
  .join('');

/** A text in pieces, cut anywhere; some are empty. */
const cut = (bytes: Buffer): fc.Arbitrary<Buffer[]> =>
  fc.array(fc.nat(bytes.length), { maxLength: 30 }).map((places) => {
    const at = [0, ...places.sort((a, b) => a - b), bytes.length];
    return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
  });

const bodies: [string, Buffer, string][] = [
  ['JSON', Buffer.from(json), 'application/json'],
  ['a stream', Buffer.from(stream), 'text/event-stream; charset=utf-8'],
];

describe('The answer on its way', () => {
  it.each(bodies)('%s: however it is cut, the bytes and what is read of them are the same', (_name, bytes, type) => {
    fc.assert(
      fc.property(cut(bytes), fc.constantFrom('empty end', 'end', 'trailers'), (pieces, end) => {
        const call = placed(room).replyHead(200, { headers: [['content-type', type]] });
        pieces.forEach((piece, i) => call.replyBody(piece, end === 'end' && i === pieces.length - 1));
        if (end === 'empty end') call.replyBody('', true);
        if (end === 'trailers') call.replyTrailers();
        call.halfClose();
        expect(call.bytes('responseBody').equals(bytes)).toBe(true);
        expect(call.answers.at(-1)?.kind).toBe(end === 'trailers' ? 'responseTrailers' : 'responseBody');
        expect(room.finished.at(-1)).toMatchObject({ status: 200, broken: false, ...wanted });
      }),
      { numRuns: 60 },
    );
  });

  it.each(bodies)('%s: however it is cut, the model has its asked name again', (_name, bytes, type) => {
    const renamed = bytes.toString().replaceAll('"model":"m-fp8"', '"model":"m"');
    fc.assert(
      fc.property(cut(bytes), fc.boolean(), (pieces, trailers) => {
        const own = openRoom({ backend: { rewriteModel: 'm-fp8' }, group: { models: ['m-fp8'] } });
        const call = placed(own).replyHead(200, {
          headers: [
            ['content-type', type],
            ['content-length', '9'],
          ],
        });
        for (const piece of pieces) call.replyBody(piece);
        if (trailers) call.replyTrailers();
        else call.replyBody('', true);
        expect(call.bytes('responseBody').toString()).toBe(renamed);
        expect(call.answers.find(({ kind }) => kind === 'responseHeaders')?.remove).toEqual(['content-length']);
        expect(own.finished.at(-1)).toMatchObject(wanted);
        call.halfClose();
        expect(books(own)).toEqual(emptyBooks);
      }),
      { numRuns: 60 },
    );
  });

  it('loses no byte that was held back when trailers end it', () => {
    room = openRoom({ backend: { rewriteModel: 'm-fp8' }, group: { models: ['m-fp8'] } });
    const call = placed(room).replyHead().replyBody('{"mod').replyTrailers().halfClose();
    expect(call.bytes('responseBody').toString()).toBe('{"mod');
    expect(call.kinds().at(-1)).toBe('responseTrailers');
  });

  it('goes on at once, piece by piece', () => {
    const call = placed(room).replyHead();
    call.replyBody('data: 1\n\n');
    expect(call.bytes('responseBody').toString()).toBe('data: 1\n\n');
    call.replyBody('data: 2').close();
    expect(call.bytes('responseBody').toString()).toBe('data: 1\n\ndata: 2');
  });

  it('is sent in pieces of at most 62,000 bytes', () => {
    const call = placed(room)
      .replyHead()
      .replyBody('x'.repeat(1024 * 1024), true)
      .halfClose();
    const pieces = call.answers.filter(({ kind }) => kind === 'responseBody');
    expect(pieces.map(({ body }) => body.length)).toEqual([
      ...Array<number>(16).fill(62_000),
      1024 * 1024 - 16 * 62_000,
    ]);
    expect(pieces.map(({ endOfStream }) => endOfStream)).toEqual([...Array<boolean>(16).fill(false), true]);
  });

  it('tells the time to the first token of a stream, not of other answers', () => {
    for (const [, bytes, type] of bodies) {
      const call = placed(room);
      room.clock.advance(20);
      call.replyHead(200, { headers: [['content-type', type]] });
      room.clock.advance(10);
      call.replyBody('');
      call.replyBody(bytes);
      room.clock.advance(100);
      call.replyBody('', true).halfClose();
    }
    expect(room.finished.map((one) => one.timeToFirstToken)).toEqual([-1, 30]);
    expect(room.finished.map((one) => one.duration)).toEqual([130, 130]);
  });

  it('says nothing of usage where the engine says nothing', () => {
    placed(room).replyHead().replyBody('{"error":{}}', true).halfClose();
    expect(room.finished[0]).toMatchObject(noUsage);
  });

  it('teaches the prefix source what the engine had cached', () => {
    const told: [number, number, number | null][] = [];
    const prefixSource = {
      match: (_request: unknown, _candidates: unknown, out: Float64Array) => void out.fill(1),
      routed: () => undefined,
      answered: (slot: number, predicted: number, cached: number | null) => void told.push([slot, predicted, cached]),
      forget: () => undefined,
    };
    room = openRoom({ group: { prefixSource }, profile: { readsHits: true } });
    placed(room).replyHead().replyBody(json, true).halfClose();
    placed(room).replyHead(200, { served: '10.0.0.1:8000' }).replyBody(json, true).halfClose();
    expect(told).toEqual([[0, 1 / Math.ceil('user\nhi\n'.length / 4), 8 / 12]]);
  });
});

describe('ResponseTail', () => {
  it.each([1, 100, 4095, 4096, 4097, 9000])('reads the last 4 KiB whatever the pieces: %i bytes each', (size) => {
    const bytes = Buffer.from(`${'x'.repeat(20_000)}"usage":{"prompt_tokens":3}${'y'.repeat(4096 - 27)}`);
    const tail = new ResponseTail();
    for (let at = 0; at < bytes.length; at += size) tail.push(bytes.subarray(at, at + size));
    expect(tail.read().promptTokens).toBe(3);
    tail.push(Buffer.from('z'));
    expect(tail.read()).toEqual(noUsage);
  });

  it('keeps no view of a piece', () => {
    const tail = new ResponseTail();
    const piece = Buffer.from('"usage":{"prompt_tokens":3}');
    tail.push(piece);
    piece.fill(0);
    expect(tail.read().promptTokens).toBe(3);
  });
});

describe('ModelRestorer', () => {
  const restored = (...pieces: string[]): string[] => {
    const restorer = new ModelRestorer('m-fp8', 'm "ä"');
    return pieces.map((piece, i) => restorer.push(Buffer.from(piece), i === pieces.length - 1).toString());
  };

  it.each<[string, string, string]>([
    ['spaces', '{"model" :\n "m-fp8"}', '{"model" :\n "m \\"ä\\""}'],
    ['another name', '{"model":"m-fp8x"}', '{"model":"m-fp8x"}'],
    ['no name', '{"model":null}', '{"model":null}'],
    ['the name as a text', '{"content":"\\"model\\":\\"m-fp8\\""}', '{"content":"\\"model\\":\\"m-fp8\\""}'],
    ['the word as a value', '{"a":"model","b":"m-fp8"}', '{"a":"model","b":"m-fp8"}'],
    ['an end in the middle', '{"model":"m-f', '{"model":"m-f'],
    ['twice', '{"model":"m-fp8"},{"model":"m-fp8"}', '{"model":"m \\"ä\\""},{"model":"m \\"ä\\""}'],
  ])('%s', (_name, text, wanted) => {
    expect(restored(text).join('')).toBe(wanted);
    expect(restored(...text, '').join('')).toBe(wanted);
  });

  it('holds back only what the next piece decides', () => {
    expect(restored('{"a":1,"mod', 'e":2}', '')).toEqual(['{"a":1,', '"mode":2}', '']);
    expect(restored(`{"model"${' '.repeat(100)}`, ':"m-fp8"}')[0]).toHaveLength(108);
  });
});
