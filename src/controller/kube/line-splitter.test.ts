import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { LineSplitter } from './line-splitter.ts';

describe('a line splitter', () => {
  it('finds the same lines however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.string({ unit: 'binary', maxLength: 20 }).map((text) => JSON.stringify(text)),
          { maxLength: 8 },
        ),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }),
        (lines, cuts) => {
          const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
          const splitter = new LineSplitter(10_000);
          const found: string[] = [];
          for (let at = 0, cut = 0; at < bytes.length; cut += 1) {
            const length = cuts[cut % cuts.length];
            found.push(...splitter.push(bytes.subarray(at, at + length)));
            at += length;
          }
          expect(found).toEqual(lines);
        },
      ),
    );
  });

  it('passes over empty lines and keeps a tail without its line feed to itself', () => {
    const splitter = new LineSplitter(100);
    expect([...splitter.push(Buffer.from('\r\na\n\n\nb'))]).toEqual(['a']);
    expect([...splitter.push(Buffer.from('c\n'))]).toEqual(['bc']);
  });

  it('takes a line of exactly the greatest length and refuses one byte more, whole or in pieces', () => {
    const splitter = new LineSplitter(4);
    expect([...splitter.push(Buffer.from('abcd\nab'))]).toEqual(['abcd']);
    expect([...splitter.push(Buffer.from('cd\n'))]).toEqual(['abcd']);
    expect(() => [...splitter.push(Buffer.from('abcde'))]).toThrow(RangeError);
    const other = new LineSplitter(4);
    expect([...other.push(Buffer.from('abc'))]).toEqual([]);
    expect(() => [...other.push(Buffer.from('de'))]).toThrow('longer than 4 bytes');
  });

  it('joins a long line in time that grows with its length, not with its square', () => {
    const concat = vi.spyOn(Buffer, 'concat');
    const splitter = new LineSplitter(2_000_000);
    for (let times = 0; times < 1000; times += 1) expect([...splitter.push(Buffer.alloc(1000, 'x'))]).toEqual([]);
    expect([...splitter.push(Buffer.from('\n'))][0]).toHaveLength(1_000_000);
    const joined = concat.mock.results.reduce((sum, { value }) => sum + (Buffer.isBuffer(value) ? value.length : 0), 0);
    concat.mockRestore();
    expect(joined).toBe(1_000_000);
  });
});
