import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAnswer } from './answer.ts';

describe('parseAnswer', () => {
  const cases: [sentence: string, text: string, ids: number[] | null][] = [
    ['ids', '{"count":2,"max_model_len":9,"tokens":[0,4294967295],"token_strs":null}', [0, 4294967295]],
    ['no ids at all', '{"count":0,"tokens":[]}', []],
    ['ids without their count', '{"tokens":[1]}', [1]],
    ['a count that is another', '{"count":3,"tokens":[1,2]}', null],
    ['an id beyond 32 bits', '{"tokens":[4294967296]}', null],
    ['a negative id', '{"tokens":[-1]}', null],
    ['a fraction', '{"tokens":[1.5]}', null],
    ['a text', '{"tokens":["1"]}', null],
    ['a hole', '{"tokens":[null]}', null],
    ['tokens of another type', '{"tokens":{"0":1}}', null],
    ['no object', '[1,2]', null],
    ['nothing', '', null],
    ['half an answer', '{"tokens":[1,', null],
  ];
  it.each(cases)('reads %s', (_sentence, text, ids) => {
    const read = parseAnswer(text);
    expect(read === null ? null : [...read]).toEqual(ids);
  });

  it('never throws and gives whole ids only, whatever an engine says', () => {
    const good = '{"count":3,"max_model_len":1024,"tokens":[831,542,564],"token_strs":null}';
    const edit = fc.tuple(fc.nat(good.length), fc.nat(4), fc.string({ maxLength: 6 }));
    const spoilt = fc.array(edit, { minLength: 1, maxLength: 4 }).map((edits) => {
      let text = good;
      for (const [at, gone, put] of edits) text = text.slice(0, at) + put + text.slice(at + gone);
      return text;
    });
    const json = fc.json().map((value) => `{"tokens":${value}}`);
    fc.assert(
      fc.property(fc.oneof(spoilt, json, fc.string()), (text) => {
        const ids = parseAnswer(text);
        if (ids === null) return;
        const { tokens } = JSON.parse(text) as { tokens: number[] };
        expect([...ids]).toEqual(tokens);
      }),
      { numRuns: 2000 },
    );
  });
});
