import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { mergeMetrics } from './merged-metrics.ts';

const of = (pod: string) => ({ pod, group_id: 'g', role: 'prefill' });
const tail = (pod: string): string => `pod="${pod}",group_id="g",role="prefill"`;

describe('metrics of several engines in one', () => {
  it.each<[string, string, string]>([
    ['a sample without labels gets ours', 'up 1', `up{${tail('p')}} 1\n`],
    ['a sample keeps its own labels before ours', 'up{a="b"} 1', `up{a="b",${tail('p')}} 1\n`],
    ['empty braces are no labels', 'up{} 1', `up{${tail('p')}} 1\n`],
    ['a comma after the last label is dropped', 'up{a="b",} 1', `up{a="b",${tail('p')}} 1\n`],
    ['braces and commas in a value stay', 'up{a="},{pod="} 1', `up{a="},{pod=",${tail('p')}} 1\n`],
    ['an escaped quote ends no value', String.raw`up{a="\"}"} 1`, String.raw`up{a="\"}",` + `${tail('p')}} 1\n`],
    ['a time stamp stays', 'up 1 1700000000000', `up{${tail('p')}} 1 1700000000000\n`],
    [
      'a label that is called as ours is told apart',
      'up{pod="x",b="c"} 1',
      `up{exported_pod="x",b="c",${tail('p')}} 1\n`,
    ],
    ['a label that only ends as ours stays', 'up{mypod="x"} 1', `up{mypod="x",${tail('p')}} 1\n`],
    ['what is no sample is left out', 'not a metric!\n\n# some remark\n{} 1\nup{a="b\nup', ''],
    ['lines may end as on Windows', '# TYPE up gauge\r\nup 1\r', `# TYPE up gauge\nup{${tail('p')}} 1\n`],
  ])('%s', (_sentence, text, merged) => {
    expect(mergeMetrics([{ labels: of('p'), text }])).toBe(merged);
  });

  it('tell of each family once, with the samples of all', () => {
    const text = (n: number): string =>
      `# HELP h Time.\n# TYPE h histogram\nh_bucket{le="1"} ${n}\nh_sum ${n}\nh_count ${n}\n# TYPE up gauge\nup ${n}\n`;
    const merged = mergeMetrics([
      { labels: of('p'), text: text(1) },
      { labels: of('q'), text: text(2) },
    ]);
    expect(merged).toBe(
      [
        '# HELP h Time.',
        '# TYPE h histogram',
        `h_bucket{le="1",${tail('p')}} 1`,
        `h_sum{${tail('p')}} 1`,
        `h_count{${tail('p')}} 1`,
        `h_bucket{le="1",${tail('q')}} 2`,
        `h_sum{${tail('q')}} 2`,
        `h_count{${tail('q')}} 2`,
        '# TYPE up gauge',
        `up{${tail('p')}} 1`,
        `up{${tail('q')}} 2`,
        '',
      ].join('\n'),
    );
  });

  it('keep every sample of a real vLLM', () => {
    const text = readFileSync(new URL('../../datalayer/testdata/vllm-0.32-busy.txt', import.meta.url), 'utf8');
    const samples = text.split('\n').filter((line) => /^[a-z]/.test(line));
    const merged = mergeMetrics([{ labels: of('p'), text }]);
    const kept = merged.split('\n').filter((line) => /^[a-z]/.test(line));
    const bare = kept.map((line) => line.replace(`,${tail('p')}`, '').replace(`{${tail('p')}}`, ''));
    expect(bare.toSorted()).toEqual(samples.toSorted());
    expect(samples.length).toBeGreaterThan(300);
  });

  it('escape what a label value may not hold', () => {
    expect(mergeMetrics([{ labels: { pod: 'a"b\\c\nd' }, text: 'up 1' }])).toBe(
      `${String.raw`up{pod="a\"b\\c\nd"} 1`}\n`,
    );
  });
});
