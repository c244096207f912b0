import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventCutter } from './sse.ts';

/** What comes out for these pieces, one by one; null where nothing is whole yet. */
function push(...pieces: string[]): (string | null)[] {
  const cutter = new EventCutter();
  return pieces.map((piece) => cutter.push(Buffer.from(piece))?.toString() ?? null);
}

describe('EventCutter', () => {
  const cases: [string, string[], (string | null)[]][] = [
    ['an event in one piece', ['data: a\n\n'], ['data: a\n\n']],
    ['two events in one piece', ['data: a\n\ndata: b\n\n'], ['data: a\n\ndata: b\n\n']],
    ['an event in two pieces', ['data: ', 'a\n\n'], [null, 'data: a\n\n']],
    ['an empty line in two pieces', ['data: a\n', '\n'], [null, 'data: a\n\n']],
    ['an event and a half', ['data: a\n\ndata: ', 'b\n\n'], ['data: a\n\n', 'data: b\n\n']],
    ['line ends with a carriage return', ['data: a\r\n\r\n', 'data: b\r\n', '\r\n'], ['data: a\r\n\r\n', null, 'data: b\r\n\r\n']],
    ['a carriage return at the seam', ['data: a\r\n\r', '\n'], [null, 'data: a\r\n\r\n']],
    ['an event of several lines', ['event: x\ndata: a\ndata: b\n\n'], ['event: x\ndata: a\ndata: b\n\n']],
    ['a comment', [': ping\n\n'], [': ping\n\n']],
    ['a lone empty line', ['\n\n'], ['\n\n']],
    ['an escaped line end in a text', ['data: "a\\n\\nb"', '\n\n'], [null, 'data: "a\\n\\nb"\n\n']],
  ]; // prettier-ignore
  it.each(cases)('passes %s on whole', (_name, pieces, wanted) => {
    expect(push(...pieces)).toEqual(wanted);
  });

  it.each(['data: a\n\n', 'data: a\r\n\r\n'])('passes the very piece %j on, uncopied, since it is whole', (text) => {
    const piece = Buffer.from(text);
    expect(new EventCutter().push(piece)).toBe(piece);
  });

  it('keeps what is left for the end', () => {
    const cutter = new EventCutter();
    expect(cutter.rest()).toBeNull();
    cutter.push(Buffer.from('data: a\n\ndata: half'));
    expect(cutter.rest()?.toString()).toBe('data: half');
    cutter.push(Buffer.from('\n\n'));
    expect(cutter.rest()).toBeNull();
  });

  it('lets an event go on in pieces once it is longer than a mebibyte', () => {
    const cutter = new EventCutter();
    const half = Buffer.alloc(600_000, 'x');
    expect(cutter.push(half)).toBeNull();
    expect(cutter.push(half)?.length).toBe(1_200_000);
    expect(cutter.rest()).toBeNull();
  });

  it('passes on whole events only and all the bytes, however they are cut into pieces', () => {
    const event = fc
      .tuple(fc.constantFrom('\n', '\r\n'), fc.array(fc.constantFrom('data: x', 'event: e', ': c', 'data: é\\n'), { minLength: 1 }))
      .map(([end, lines]) => lines.map((line) => line + end).join('') + end); // prettier-ignore
    const cuts = fc.array(fc.integer({ min: 0, max: 400 }));
    fc.assert(
      fc.property(
        fc.array(event, { minLength: 1, maxLength: 8 }),
        cuts,
        fc.string({ maxLength: 5 }),
        (events, at, tail) => {
          const bytes = Buffer.from(events.join('') + tail.replaceAll(/[\r\n]/g, '.'));
          const ends = [0];
          for (const one of events) ends.push((ends.at(-1) ?? 0) + Buffer.byteLength(one));
          const cutter = new EventCutter();
          const edges = [0, ...at.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
          let out = Buffer.alloc(0);
          for (let i = 1; i < edges.length; i++) {
            if (edges[i] === edges[i - 1]) continue;
            out = Buffer.concat([out, cutter.push(bytes.subarray(edges[i - 1], edges[i])) ?? Buffer.alloc(0)]);
            expect(ends).toContain(out.length);
          }
          expect(Buffer.concat([out, cutter.rest() ?? Buffer.alloc(0)]).equals(bytes)).toBe(true);
          // Nothing that is whole is held back.
          expect(out.length).toBe(ends.at(-1));
        },
      ),
    );
  });
});
