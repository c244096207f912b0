import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { replaceModel } from './response-model.ts';

const names = { engine: 'org/m-fp8', asked: 'org/m' };
const replace = (text: string, pair = names): string => replaceModel(Buffer.from(text), pair).toString();

describe('replaceModel', () => {
  const cases: [string, string, string][] = [
    ['puts the asked name back', '{"id":"x","model":"org/m-fp8","n":1.0}', '{"id":"x","model":"org/m","n":1.0}'],
    ['keeps white space', '{"model" : "org/m-fp8"}', '{"model" : "org/m"}'],
    ['does so in every event', 'data: {"model":"org/m-fp8"}\n\ndata: {"model":"org/m-fp8"}\n\n', 'data: {"model":"org/m"}\n\ndata: {"model":"org/m"}\n\n'],
    ['does so below the top level, as responses have it', '{"response":{"model":"org/m-fp8"}}', '{"response":{"model":"org/m"}}'],
    ['leaves another model alone', '{"model":"other"}', '{"model":"other"}'],
    ['leaves other keys alone', '{"name":"org/m-fp8","models":"org/m-fp8"}', '{"name":"org/m-fp8","models":"org/m-fp8"}'],
    ['leaves generated text alone', '{"text":"\\"model\\":\\"org/m-fp8\\""}', '{"text":"\\"model\\":\\"org/m-fp8\\""}'],
    ['leaves a longer name alone', '{"model":"org/m-fp8-x"}', '{"model":"org/m-fp8-x"}'],
  ]; // prettier-ignore
  it.each(cases)('%s', (_name, text, wanted) => {
    expect(replace(text)).toBe(wanted);
  });

  it('gives the same piece back where no model is named', () => {
    const piece = Buffer.from('data: {"choices":[]}\n\n');
    expect(replaceModel(piece, names)).toBe(piece);
  });

  it('changes the model of any answer and nothing else', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.array(fc.string()), (engine, asked, texts) => {
        const answer = { model: engine, choices: texts.map((text) => ({ text, note: `"model":"${engine}"` })) };
        const changed: unknown = JSON.parse(replace(JSON.stringify(answer), { engine, asked }));
        expect(changed).toEqual({ ...answer, model: asked });
      }),
    );
  });

  it('takes a dollar sign in a name for a dollar sign', () => {
    expect(replace('{"model":"a"}', { engine: 'a', asked: "$&$1$'" })).toBe('{"model":"$&$1$\'"}');
  });
});
