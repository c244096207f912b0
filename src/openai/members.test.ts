import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { setMember, topLevelMembers, withMembers, withModel, withoutMember, type MemberEdit } from './members.ts';

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

describe('withMembers', () => {
  const edit = (text: string, edits: readonly MemberEdit[]): string => withMembers(Buffer.from(text), edits).toString();
  const cases: [string, string, MemberEdit[], string][] = [
    ['sets a value in place', '{ "a" : 1 ,\n"b":2}', [setMember('b', '[3]')], '{ "a" : 1 ,\n"b":[3]}'],
    ['puts what is not there first', ' {"a":1}', [setMember('b', '2'), setMember('c', '3')], ' {"b":2,"c":3,"a":1}'],
    ['takes the first member out with its comma', '{ "a":1 , "b":2}', [withoutMember('a')], '{"b":2}'],
    ['takes the last member out with its comma', '{"a":1 , "b":2 }', [withoutMember('b')], '{"a":1 }'],
    ['takes one in the middle out', '{"a":1,"b":{"a":2},"c":3}', [withoutMember('b')], '{"a":1,"c":3}'],
    ['takes all out', '{ "a":1, "b":2 }', [withoutMember('a'), withoutMember('b')], '{ }'],
    ['takes all out and puts others in', '{"a":1,"a":2}', [withoutMember('a'), setMember('b', '1')], '{"b":1}'],
    ['leaves what is not there out', '{"a":1}', [withoutMember('b')], '{"a":1}'],
    ['fills an empty object', '{ }', [setMember('a', '1'), setMember('b', '2')], '{"a":1,"b":2 }'],
    ['changes each of several members of a name', '{"a":1,"b":0,"a":2}', [setMember('a', '3')], '{"a":3,"b":0,"a":3}'],
    ['knows a key in escapes', '{"\\u0061":1,"b":2}', [withoutMember('a'), setMember('b', '3')], '{"b":3}'],
    ['leaves members below the top level alone', '{"x":{"a":1},"a":2}', [setMember('a', '3')], '{"x":{"a":1},"a":3}'],
    ['leaves numbers as they are written', '{"a":1,"s":9223372036854775807,"t":1.0,"e":1E-7}', [withoutMember('a')], '{"s":9223372036854775807,"t":1.0,"e":1E-7}'],
  ]; // prettier-ignore
  it.each(cases)('%s', (_name, text, edits, wanted) => {
    expect(edit(text, edits)).toBe(wanted);
  });

  it('does what editing the parsed object does, and leaves the bytes of all other members', () => {
    const names = ['a', 'b', 'ab', 'stream', 'kv_transfer_params', '"', '\\', '', 'ö', '__proto__'];
    const key = fc.constantFrom(...names);
    const number = fc.constantFrom('9223372036854775807', '1.0', '-0.0', '1e400');
    const value = fc.oneof(fc.jsonValue().map((one) => JSON.stringify(one)), number, fc.constant('{"a":{"b":[1.0]}}')); // prettier-ignore
    const members = fc.array(fc.tuple(key, value, spelling), { maxLength: 7 });
    const edits = fc.uniqueArray(fc.tuple(key, fc.option(value)), { selector: ([name]) => name, maxLength: 5 });
    fc.assert(
      fc.property(members, edits, (list, changes) => {
        const text = `{${list.map(([name, json, spell]) => spell(name, json)).join(',')}}`;
        const got = edit(text, changes.map(([name, json]) => (json === null ? withoutMember(name) : setMember(name, json)))); // prettier-ignore
        const wanted = new Map<string, unknown>();
        for (const [name, json] of changes) if (json !== null) wanted.set(name, JSON.parse(json));
        for (const [name, json] of list) {
          if (changes.every((change) => change[0] !== name)) wanted.set(name, JSON.parse(json));
        }
        // Keys in escapes are read one by one, as in the payload: JSON.parse itself may mistake them.
        const read = topLevelMembers(Buffer.from(got)).map(({ name, start, end }): [string, unknown] => [
          name,
          JSON.parse(Buffer.from(got).toString('utf8', start, end)),
        ]);
        expect(Object.fromEntries(read)).toEqual(Object.fromEntries(wanted));
        expect(() => void JSON.parse(got)).not.toThrow();
        for (const [name, json, spell] of list) {
          if (changes.every((change) => change[0] !== name)) expect(got).toContain(spell(name, json).trim());
        }
      }),
      { numRuns: 500 },
    );
  });
});
