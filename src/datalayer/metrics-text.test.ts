import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { labelOf, SeriesFinder } from './metrics-text.ts';

const find = (text: string, ...names: (string | null)[]) => new SeriesFinder(names).find(text);

describe('SeriesFinder', () => {
  it.each([
    { says: 'a series without labels', text: 'a_total 3', values: [3] },
    { says: 'a series on the first line', text: 'a_total 3\nb 1', values: [3] },
    { says: 'a series on the last line, without a newline', text: 'b 1\na_total 3', values: [3] },
    { says: 'every label set', text: 'a_total{x="1"} 3\nb 1\na_total{x="2"} 4\n', values: [3, 4] },
    { says: 'a value before a timestamp', text: 'a_total{x="1"} 3.5 1395066363000\n', values: [3.5] },
    { says: 'a value behind a tab, before a carriage return', text: 'a_total\t3\r\n', values: [3] },
    { says: 'scientific notation', text: 'a_total 1.79e+09\n', values: [1.79e9] },
    { says: 'no longer name that begins alike', text: 'a_total_by_reason 3\na_totals{x="1"} 4\n', values: [] },
    { says: 'no name inside a line', text: '# HELP a_total 3\nb{c="a_total"} 5\n', values: [] },
    { says: 'braces, quotes and spaces inside a label', text: 'a_total{x="} \\" {",y="}"} 3\n', values: [3] },
    { says: 'nothing in an empty text', text: '', values: [] },
    { says: 'NaN for what is no number', text: 'a_total ten\na_total\ta b\na_total{x="1"}\n', values: [NaN, NaN, NaN] },
    { says: 'NaN for labels that never end', text: 'a_total{x="1\nb 1\n', values: [NaN] },
  ])('finds $says', ({ text, values }) => {
    expect(find(text, 'a_total')[0].map(({ value }) => value)).toEqual(values);
  });

  it('finds nothing for a name that is null, and the others at their own places', () => {
    expect(find('a 1\nb 2\n', 'b', null, 'a').map((samples) => samples.map(({ value }) => value))).toEqual([
      [2],
      [],
      [1],
    ]);
  });

  it('finds what a walk over all lines finds, in any text', () => {
    const names = ['vllm:num', 'vllm:number', 'vllm:kv', 'process_start'];
    const line = fc.oneof(
      fc.tuple(
        fc.constantFrom(...names, 'vllm:n', '# HELP vllm:num'),
        fc.constantFrom(' ', '{a="b"} ', '_x '),
        fc.nat(99),
      ),
      fc.tuple(fc.string(), fc.constant(''), fc.constant('')),
    );
    fc.assert(
      fc.property(fc.array(line), (parts) => {
        const lines = parts
          .map((part) => part.join(''))
          .join('\n')
          .split('\n');
        const expected = names.map((name) =>
          lines.flatMap((text) => {
            const match = /^([^ {]+)(?:\{[^}]*\})? (\d+)$/.exec(text);
            return match?.[1] === name ? [Number(match[2])] : [];
          }),
        );
        const found = find(lines.join('\n'), ...names).map((s) => s.map(({ value }) => value).filter(Number.isFinite));
        expect(found).toEqual(expected);
      }),
    );
  });
});

describe('labelOf', () => {
  it.each([
    { says: 'the first label', labels: 'a="1",b="2"', name: 'a', value: '1' },
    { says: 'a later label', labels: 'a="1",b="2",', name: 'b', value: '2' },
    { says: 'a label behind a space', labels: 'a="1", b="2"', name: 'b', value: '2' },
    { says: 'no label whose name only ends alike', labels: '_b="1",b="2"', name: 'b', value: '2' },
    { says: 'no name inside a value', labels: 'a="b=\\"9\\"",b="2"', name: 'b', value: '2' },
    { says: 'an escaped value', labels: 'a="x\\\\",b="say \\"hi\\"\\n"', name: 'b', value: 'say "hi"\n' },
    { says: 'an empty value', labels: 'a=""', name: 'a', value: '' },
    { says: 'null for a missing one', labels: 'a="1"', name: 'c', value: null },
    { says: 'null behind a value that never ends', labels: 'a="1,b="2', name: 'c', value: null },
  ])('reads $says', ({ labels, name, value }) => {
    expect(labelOf(labels, name)).toBe(value);
  });

  it('reads back any value that was written as Prometheus writes it', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (first, second) => {
        const quote = (value: string) =>
          `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
        const labels = `a=${quote(first)},b=${quote(second)}`;
        expect([labelOf(labels, 'a'), labelOf(labels, 'b')]).toEqual([first, second]);
      }),
    );
  });
});
