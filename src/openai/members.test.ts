import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { topLevelMembers, withModel } from './members.ts';

const values = (text: string, key = 'model'): string[] => {
  const bytes = Buffer.from(text);
  const members = topLevelMembers(bytes).filter(({ name }) => name === key);
  return members.map(({ start, end }) => bytes.toString('utf8', start, end));
};

describe('topLevelMembers', () => {
  const cases: [string, string, string[]][] = [
    ['no member', '{}', []],
    ['another key', '{"modell":"a","mode":"b","Model":"c"}', []],
    ['a text', '{"model":"a"}', ['"a"']],
    ['white space everywhere', ' {\n "model" \t:\r\n "a" , "x" : 1 } ', ['"a"']],
    ['a number at the end', '{"x":1,"model":12}', ['12']],
    ['a literal before a line end', '{"model":null\n}', ['null']],
    ['an object', '{"model":{"model":"x","y":["}"]},"z":1}', ['{"model":"x","y":["}"]}']],
    ['an array', '{"model":[[],{"a":"]"}]}', ['[[],{"a":"]"}]']],
    ['keys below the top level', '{"a":{"model":"x"},"b":[{"model":"y"}]}', []],
    ['two of them', '{"model":"a","model":"b"}', ['"a"', '"b"']],
    ['a key in escapes', '{"mod\\u0065l":"a","\\u006d\\u006f\\u0064\\u0065\\u006c":"b"}', ['"a"', '"b"']],
    ['quotes and backslashes in texts', '{"a\\"":"\\\\","b":"\\\\\\"model\\":","model":"x\\\\\\""}', ['"x\\\\\\""']],
    ['text outside ASCII', '{"ö€":"𝄞","model":"ö"}', ['"ö"']],
    ['an empty key', '{"":"a","model":"b"}', ['"b"']],
  ]; // prettier-ignore
  it.each(cases)('finds %s', (_name, text, wanted) => {
    expect(values(text)).toEqual(wanted);
  });
});

describe('withModel', () => {
  const cases: [string, string, string][] = [
    ['changes only the value', '{"model":"old","seed":9223372036854775807,"t":1.0}', '{"model":"new","seed":9223372036854775807,"t":1.0}'],
    ['leaves white space and nested models alone', '{ "a" : {"model":"old"} ,\n"model" : "old" }', '{ "a" : {"model":"old"} ,\n"model" : "new" }'],
    ['replaces a null', '{"model":null}', '{"model":"new"}'],
    ['gives a model to a body without one', ' {"a":1}', ' {"model":"new","a":1}'],
    ['gives a model to an empty body', '{ }', '{"model":"new" }'],
  ]; // prettier-ignore
  it.each(cases)('%s', (_name, text, wanted) => {
    expect(withModel(Buffer.from(text), 'new').toString()).toBe(wanted);
  });

  it('escapes a name as JSON asks', () => {
    expect(withModel(Buffer.from('{"model":"m"}'), 'a"\\\n€').toString()).toBe('{"model":"a\\"\\\\\\n€"}');
  });

  it('changes nothing but the model of any object, however it is spelt', () => {
    const key = fc.oneof(fc.string(), fc.constantFrom('model', 'mod', '"model"', '\\', ''));
    const nested = fc.oneof(fc.jsonValue(), fc.record({ model: fc.string() }), fc.constant('"model":"x"'));
    const members = fc.uniqueArray(fc.tuple(key, nested, spelling), { selector: ([name]) => name, maxLength: 6 });
    fc.assert(
      fc.property(members, fc.string(), (list, model) => {
        const value = JSON.stringify(model);
        const text = list.map(([name, before, spell]) => spell(name, JSON.stringify(before)));
        const changed = list.map(([name, before, spell]) =>
          spell(name, name === 'model' ? value : JSON.stringify(before)),
        );
        if (list.every(([name]) => name !== 'model')) changed.unshift(`"model":${value}`);
        expect(withModel(Buffer.from(`{${text.join(',')}}`), model).toString()).toBe(`{${changed.join(',')}}`);
      }),
    );
  });
});

/** Ways to write one member: tight, with white space, and with a key in escapes. */
const spelling = fc.constantFrom(
  (name: string, value: string) => `${JSON.stringify(name)}:${value}`,
  (name: string, value: string) => ` \n${JSON.stringify(name)}\t:\r ${value} `,
  (name: string, value: string) => `"${name.replace(/[\s\S]/g, escaped)}":${value}`,
);

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
