import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTraceparent, traceLines } from './trace-context.ts';

const traceId = '0af7651916cd43dd8448eb211c80319c';
const spanId = 'b7ad6b7169203331';
const good = `00-${traceId}-${spanId}-01`;

describe('a traceparent', () => {
  it.each<[string, string, number]>([
    ['that is sampled', good, 1],
    ['that is not', `00-${traceId}-${spanId}-00`, 0],
    ['with flags that nobody knows yet', `00-${traceId}-${spanId}-ff`, 255],
    ['of a version to come', `01-${traceId}-${spanId}-01`, 1],
    ['of a version to come, with more behind', `cc-${traceId}-${spanId}-03-more`, 3],
  ])('%s is read', (_sentence, text, flags) => {
    expect(parseTraceparent(text)).toEqual({ traceId, spanId, flags });
  });

  it.each([
    ['nothing', ''],
    ['words', 'nonsense'],
    ['two of them', `${good},${good}`],
    ['version ff', `ff${good.slice(2)}`],
    ['more than version 00 has', `${good}-00`],
    ['a dash at its end', `${good}-`],
    ['a version to come that goes on without a dash', `01${good.slice(2)}00`],
    ['capitals', good.toUpperCase()],
    ['a trace of zeros', `00-${'0'.repeat(32)}-${spanId}-01`],
    ['a span of zeros', `00-${traceId}-${'0'.repeat(16)}-01`],
    ['a short trace', `00-${traceId.slice(1)}-${spanId}-01`],
    ['letters that are no digits', `00-${traceId.slice(1)}g-${spanId}-01`],
    ['a short flag', `00-${traceId}-${spanId}-1`],
    ['space around it', ` ${good}`],
    ['a line break behind', `${good}\n`],
  ])('of %s is none', (_sentence, text) => {
    expect(parseTraceparent(text)).toBe(null);
  });

  it('is read as it was written, and tells only flags that are known', () => {
    const hex = (length: number) =>
      fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });
    const ids = fc.tuple(hex(32), hex(16)).filter(([trace, span]) => /[1-9a-f]/.test(trace) && /[1-9a-f]/.test(span));
    fc.assert(
      fc.property(ids, fc.nat(255), ([trace, span], flags) => {
        const [line, rest] = traceLines({ traceId: trace, spanId: span, flags }, '').split('\r\n');
        const [name, value] = line.split(': ');
        expect([name, rest]).toEqual(['traceparent', '']);
        expect(parseTraceparent(value)).toEqual({ traceId: trace, spanId: span, flags: flags & 3 });
      }),
    );
  });

  it('takes its tracestate along', () => {
    const lines = traceLines({ traceId, spanId, flags: 1 }, 'a=1,b=2');
    expect(lines).toBe(`traceparent: ${good}\r\ntracestate: a=1,b=2\r\n`);
  });
});
