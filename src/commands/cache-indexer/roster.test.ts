import { describe, expect, it } from 'vitest';
import { EngineRoster } from './roster.ts';

const engine = (name: string, base: string[], adapters: string[] = []) => ({
  name,
  address: `${name}:8000`,
  models: { base, adapters },
});

describe('EngineRoster', () => {
  const holders = new Map([['a:8000', [3, 4]]]);
  const roster = new EngineRoster(
    [engine('a', ['m', 'alias', 'm'], ['tuned']), engine('b', ['m'], ['tuned', 'odd']), engine('c', ['odd'])],
    (address) => holders.get(address) ?? [],
  );
  const served = (model: string) => {
    const found = roster.serving(model);
    return found === null ? null : [found.lora, ...found.pods.map(({ name }) => name)];
  };

  it.each([
    ['a model by each of its names', 'm', ['', 'a', 'b']],
    ['an alias', 'alias', ['', 'a']],
    ['an adapter by its own name, which its blocks carry', 'tuned', ['tuned', 'a', 'b']],
    ['a name that is a model for some and an adapter for others as the model', 'odd', ['', 'c']],
    ['nothing else', 'constructor', null],
  ])('knows %s', (_name, model, expected) => {
    expect(served(model)).toEqual(expected);
  });

  it('looks caches up anew each time: ranks come and go', () => {
    const pods = roster.serving('m')?.pods ?? [];
    expect(pods.map((pod) => pod.holders)).toEqual([[3, 4], []]);
    holders.set('b:8000', [5]);
    expect(pods.map((pod) => pod.holders)).toEqual([[3, 4], [5]]);
  });

  it('names what is served', () => {
    expect(roster.models).toEqual(['m', 'alias', 'odd', 'tuned']);
  });
});
