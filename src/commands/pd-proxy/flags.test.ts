import { describe, expect, it } from 'vitest';
import { UsageError } from '../io.ts';
import { defaults, selectorFlag, usage } from './flags.ts';

describe('the flags of pd-proxy', () => {
  it('are all told by its help, which fits a screen', () => {
    for (const name of Object.keys(defaults)) if (name !== 'help') expect(usage).toContain(`--${name}`);
    const lines = usage.split('\n');
    expect(lines.length).toBeLessThanOrEqual(40);
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(120);
  });

  it.each([
    ['', {}],
    ['app=vllm', { app: 'vllm' }],
    ['app=vllm, openfuyao.com/model=', { app: 'vllm', 'openfuyao.com/model': '' }],
  ])('--selector %j', (text, labels) => {
    expect(selectorFlag(text)).toEqual(labels);
  });

  it.each(['app', 'app=a=b', '=a'])('--selector %j is refused', (text) => {
    expect(() => selectorFlag(text)).toThrow(UsageError);
  });
});
