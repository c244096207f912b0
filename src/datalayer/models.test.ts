import { describe, expect, it } from 'vitest';
import { maxModels, parseModels, unionOfModels } from './models.ts';

const parse = (value: unknown) => parseModels(Buffer.from(JSON.stringify(value)));
const many = (count: number, prefix: string) => Array.from({ length: count }, (_unused, i) => `${prefix}${i + 1000}`);

describe('parseModels', () => {
  it.each([
    {
      says: 'models and aliases as vLLM lists them',
      answer: {
        object: 'list',
        data: [
          { id: 'tiny', parent: null, root: 'r' },
          { id: 'tiny-alias', parent: null },
        ],
      },
      list: { base: ['tiny', 'tiny-alias'], adapters: [] },
    },
    {
      says: 'adapters by their parent',
      answer: { data: [{ id: 'm' }, { id: 'sql', parent: 'm' }] },
      list: { base: ['m'], adapters: ['sql'] },
    },
    {
      says: 'past entries without a usable name',
      answer: { data: [null, 'm', { id: 5 }, { id: '' }, { id: 'x'.repeat(513) }, { id: 'größe/模型' }] },
      list: { base: ['größe/模型'], adapters: [] },
    },
    { says: 'an empty list', answer: { data: [] }, list: { base: [], adapters: [] } },
    { says: 'nothing of another object', answer: { models: [] }, list: null },
    { says: 'nothing of null', answer: null, list: null },
    { says: 'nothing of data that is no list', answer: { data: 'm' }, list: null },
  ])('reads $says', ({ answer, list }) => {
    expect(parse(answer)).toEqual(list);
  });

  it('reads nothing of what is no JSON', () => {
    expect(parseModels(Buffer.from('<html>'))).toBeNull();
  });

  it('reads no more than 256 names', () => {
    expect(parse({ data: many(300, 'm').map((id) => ({ id })) })?.base).toHaveLength(maxModels);
  });
});

describe('unionOfModels', () => {
  it('joins what engines serve, sorted, each name once', () => {
    const lists = [
      { base: ['b', 'a'], adapters: ['y'] },
      { base: ['a', 'c'], adapters: ['x', 'c'] },
    ];
    expect(unionOfModels(lists)).toEqual(['a', 'b', 'c', 'x', 'y']);
  });

  it('cuts adapters rather than models', () => {
    const union = unionOfModels([{ base: ['zz'], adapters: many(300, 'a') }]);
    expect(union).toHaveLength(maxModels);
    expect(union[0]).toBe('zz');
  });
});
