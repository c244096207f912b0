import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BodyBudget, BodyBuffer } from './body-budget.ts';

const push = (buffer: BodyBuffer, text: string) => buffer.push(Buffer.from(text), 0, Buffer.byteLength(text));

describe('BodyBuffer', () => {
  it('keeps what came, however long it was announced to be, until it is dropped', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 9000 })),
        fc.integer({ min: -1, max: 10_000 }),
        (pieces, announced) => {
          const budget = new BodyBudget({ maxBody: 10_000_000, maxBuffered: 10_000_000 });
          const buffer = new BodyBuffer(budget, announced);
          for (const piece of pieces) expect(push(buffer, piece)).toBeNull();
          const wanted = pieces.join('');
          expect(buffer.whole().toString()).toBe(wanted);
          expect(budget.held).toBe(Buffer.byteLength(wanted));
          buffer.drop();
          buffer.drop();
          expect(budget.held).toBe(0);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('holds nothing any more once it has refused a piece', () => {
    const budget = new BodyBudget({ maxBody: 10, maxBuffered: 15 });
    const first = new BodyBuffer(budget, -1);
    const second = new BodyBuffer(budget, -1);
    expect(push(first, '1234567890')).toBeNull();
    expect(push(second, '12345')).toBeNull();
    expect(push(second, '6')?.code).toBe('overloaded');
    expect(budget.held).toBe(10);
    expect(push(first, '1')?.code).toBe('request_too_large');
    expect(budget.held).toBe(0);
  });

  it('is refused by its announcement alone', () => {
    const budget = new BodyBudget({ maxBody: 10, maxBuffered: 15 });
    expect(budget.refusalOf(11)?.code).toBe('request_too_large');
    for (const length of [-1, 0, 10]) expect(budget.refusalOf(length)).toBeNull();
  });
});
