import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockTable } from './block-table.ts';

describe('BlockTable', () => {
  it.each([
    { says: 'few buckets', spread: (number: number) => number & 3 },
    { says: 'all buckets', spread: (number: number) => Math.imul(number, 0x9e3779b1) },
  ])('finds what was added and not taken out, while its buckets become more, with keys of $says', ({ spread }) => {
    const step = fc.record({ number: fc.nat(4000), remove: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.integer({ min: 0, max: 3500 }), (steps, before) => {
        const table = new BlockTable(5000);
        const known = new Map<number, number>();
        for (let number = 0; number < before; number++) known.set(number, table.add(spread(number), number));
        for (const { number, remove } of steps) {
          const block = known.get(number) ?? 0;
          expect(table.find(spread(number), number)).toBe(block);
          if (block === 0) known.set(number, table.add(spread(number), number));
          else if (remove && known.delete(number)) table.remove(block);
        }
        expect(table.used).toBe(known.size);
        for (const [number, block] of known) expect(table.find(spread(number), number)).toBe(block);
        expect(new Set(known.values()).size).toBe(known.size);
      }),
      { numRuns: 20 },
    );
  });

  it('has room for as many as it was made for, and says so when it is full', () => {
    const table = new BlockTable(2);
    table.remove(table.add(1, 1));
    table.add(1, 1);
    table.add(2, 2);
    expect(() => table.add(3, 3)).toThrow(RangeError);
  });
});
