import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { faultsOf } from './check.ts';
import { expectation, shown } from './expectation.ts';
import { closed } from './schema-node.ts';

describe('what a schema admits, in words', () => {
  it.each([
    ['an enum of one', Type.Enum(['a'], { type: 'string' }), '`a`'],
    ['an enum of several', Type.Enum(['a', 'b'], { type: 'string' }), 'one of `a`, `b`'],
    ['words of its own', Type.String({ pattern: 'x', 'x-words': 'an x' }), 'an x'],
    ['bounded text', Type.String({ minLength: 1, maxLength: 5 }), 'text of 1 to 5 characters'],
    ['any text', Type.String(), 'text'],
    ['a bounded number', Type.Number({ minimum: 0, maximum: 1 }), 'a number between 0 and 1'],
    ['an open range', Type.Number({ exclusiveMinimum: 0, maximum: 1 }), 'a number between 0 and 1, above 0'],
    ['a range open above', Type.Number({ minimum: 0, exclusiveMaximum: 1 }), 'a number between 0 and 1, below 1'],
    ['any integer', Type.Integer(), 'an integer'],
    ['a list', Type.Array(Type.String(), { maxItems: 3 }), 'a list of 0 to 3 items'],
    ['an object', closed({}, {}), 'a map'],
  ])('%s', (_, schema, words) => {
    expect(expectation(schema)).toBe(words);
  });

  it('and a value just outside an open range is refused', () => {
    const schema = Type.Number({ exclusiveMinimum: 0, exclusiveMaximum: 1 });
    expect([0, 0.5, 1].map((value) => faultsOf(schema, value).length)).toEqual([1, 0, 1]);
  });

  it.each([
    [[1], 'a list'],
    [{}, 'a map'],
    [null, 'null'],
    [undefined, 'undefined'],
    [Infinity, 'Infinity'],
    [NaN, 'NaN'],
    [1.5, '1.5'],
    ['a"b', '"a\\"b"'],
    ['http://user:password@host:1', '"http://…@host:1"'],
    ['http://host/a@b', '"http://host/a@b"'],
  ])('%j is shown as %s', (value, text) => {
    expect(shown(value)).toBe(text);
  });
});
