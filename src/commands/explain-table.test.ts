import { describe, expect, it } from 'vitest';
import type { ExplainedEndpoint } from '../router/explanation.ts';
import type { ToldDecision } from './explain-source.ts';
import { explanationLines } from './explain-table.ts';

function endpoint(name: string, over: Partial<ExplainedEndpoint> = {}): ExplainedEndpoint {
  return {
    endpoint: name,
    group: 'chat',
    address: `${name}:8000`,
    picked: false,
    reason: null,
    cachedTokens: 0,
    score: 0,
    parts: [],
    ...over,
  };
}

function scored(
  name: string,
  values: readonly [number, number],
  over: Partial<ExplainedEndpoint> = {},
): ExplainedEndpoint {
  const [a, b] = values;
  const parts = [
    { scorer: 'prefix-cache-scorer', value: a, weight: 3 },
    { scorer: 'queue-scorer', value: b, weight: 2 },
  ];
  return endpoint(name, { parts, score: 3 * a + 2 * b, ...over });
}

const dropped = (name: string, reason: string, over: Partial<ExplainedEndpoint> = {}): ExplainedEndpoint =>
  endpoint(name, { reason, cachedTokens: null, score: null, ...over });

function decision(over: Partial<ToldDecision> = {}): ToldDecision {
  return {
    policy: 'default/chat',
    at: '2026-01-02T03:04:05.678Z',
    hypothetical: false,
    model: 'Qwen/Qwen3-8B',
    requestId: 'abc',
    attempt: 1,
    promptTokens: 512,
    effectiveProfile: 'prefix-cache-scorer x3 → queue-scorer x2 → picker-min-random',
    picker: 'picker-min-random',
    best: 'highest',
    picked: { group: 'chat', endpoint: 'e2', address: 'e2:8000', cachedTokens: 448, rewriteModel: null },
    byChance: [],
    backends: [{ group: 'chat', weight: 1, share: 1, reason: null }],
    endpoints: [
      dropped('e4', 'Ejected'),
      scored('e1', [1 / 9, 0.5]),
      scored('e2', [0.875, 1], { picked: true, cachedTokens: 448 }),
      scored('e3', [0.5, 0.5]),
    ],
    ...over,
  };
}

const lines = (over: Partial<ToldDecision> = {}, width = 80): string[] => explanationLines(decision(over), width);

describe('a decision as a table', () => {
  it('has what was decided, the picked endpoint on top, and what the columns mean', () => {
    expect(lines()).toEqual([
      'policy    default/chat',
      'decision  2026-01-02T03:04:05.678Z, request abc',
      'model     Qwen/Qwen3-8B, prompt of about 512 tokens',
      'profile   prefix-cache-scorer x3 → queue-scorer x2 → picker-min-random',
      'backends  chat weight 1 (100%)',
      'picked    e2 of chat at e2:8000, 448 tokens cached',
      '',
      '   ENDPOINT  CACHED       A    B  TOTAL',
      '*  e2           448   0.875    1  4.625',
      '   e3             0     0.5  0.5    2.5',
      '   e1             0  0.1111  0.5  1.333',
      '   e4        Ejected',
      '',
      'A = prefix-cache-scorer, weight 3',
      'B = queue-scorer, weight 2',
      'TOTAL = sum of value × weight; the highest is the best',
      'picker: picker-min-random',
    ]);
  });

  it('puts the lowest total on top where it is the best', () => {
    const order = lines({ best: 'lowest' })
      .slice(8, 12)
      .map((line) => line.slice(3, 5));
    expect(order).toEqual(['e2', 'e1', 'e3', 'e4']);
  });

  it('names groups and shares where there are several', () => {
    const backends = [
      { group: 'chat', weight: 95, share: 1, reason: null },
      { group: 'next', weight: 5, share: 0, reason: 'no endpoint is left' },
    ];
    const shown = lines({ backends, endpoints: [endpoint('e1'), dropped('e1', 'Unhealthy', { group: 'next' })] });
    expect(shown).toContain('backends  chat weight 95 (100%), next weight 5 (no endpoint is left)');
    expect(shown).toContain('  e1        chat        0      0');
    expect(shown).toContain('  e1        next   Unhealthy');
  });

  const facts: [string, Partial<ToldDecision>, string][] = [
    ['a hypothetical request', { hypothetical: true }, 'decision  hypothetical: nothing was sent'],
    ['a request without an id', { requestId: null }, 'decision  2026-01-02T03:04:05.678Z'],
    ['a further try', { attempt: 2 }, 'decision  2026-01-02T03:04:05.678Z, request abc, try 2'],
    ['chance', { byChance: ['a', 'b'] }, 'by chance a; b'],
    ['nothing to pick', { picked: null }, 'picked    none: no endpoint is left'],
    [
      'another model name',
      { picked: { group: 'g', endpoint: 'e', address: 'a:1', cachedTokens: 0, rewriteModel: 'fp8' } },
      'picked    e of g at a:1, 0 tokens cached, as model fp8',
    ],
  ];
  it.each(facts)('tells of %s', (_name, over, line) => {
    expect(lines(over)).toContain(line);
  });

  it('fits a terminal: long names and reasons are cut, and of many endpoints the best are shown', () => {
    const many = Array.from({ length: 100 }, (_, i) => scored(`vllm-qwen3-8b-instruct-7d9f8b6c5-abc${i}`, [i, i]));
    const shown = lines({ endpoints: [...many, dropped('e0', 'because '.repeat(40))] });
    expect(shown).toContain('… and 61 more endpoints; -o json shows all');
    const reasoned = lines({ endpoints: [dropped('e0', 'because '.repeat(40))] });
    for (const line of [...shown, ...reasoned]) expect(line.length).toBeLessThanOrEqual(80);
    expect(reasoned[8]).toMatch(/^ +e0 {8}because .*…$/);
  });

  it('has no control characters of names', () => {
    expect(lines({ model: '\u001b[2Jm\u009b1A' })[2]).toBe('model     ?[2Jm?1A, prompt of about 512 tokens');
  });
});
