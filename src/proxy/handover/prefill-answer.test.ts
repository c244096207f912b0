import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PrefillAnswer, UnusableAnswer } from './prefill-answer.ts';

function paramsOf(...pieces: (string | Buffer)[]): string | null {
  const answer = new PrefillAnswer();
  for (const piece of pieces) answer.push(Buffer.from(piece));
  return answer.params()?.toString() ?? null;
}

describe('the parameters in a prefiller’s answer', () => {
  const given: [string, string, string | null][] = [
    ['come as they are written', '{"id":1,"kv_transfer_params": {"a":[[1],[]], "s":9223372036854775807,"t":1.0} ,"z":null}', '{"a":[[1],[]], "s":9223372036854775807,"t":1.0}'],
    ['may be in any encoding', '{"kv_transfer_params":{"ö":"𝄞","b":"\\u00f6}"}}', '{"ö":"𝄞","b":"\\u00f6}"}'],
    ['may be null', '{"kv_transfer_params":null}', null],
    ['may be missing', '{"id":1}', null],
    ['are not those below the top level', '{"choices":[{"kv_transfer_params":{"a":1}}],"text":"\\"kv_transfer_params\\":{}"}', null],
    ['have a key that may be in escapes', '{"kv\\u005ftransfer_params":{"a":1}}', '{"a":1}'],
  ]; // prettier-ignore
  it.each(given)('%s', (_name, text, wanted) => {
    expect(paramsOf(text)).toBe(wanted);
  });

  it('are found in an answer that comes in pieces', () => {
    expect(paramsOf('{"kv_trans', 'fer_params":{"a', '":1}}')).toBe('{"a":1}');
  });

  const unusable: [string, string][] = [
    ['nothing', ''],
    ['no JSON', 'hello'],
    ['half an object', '{"kv_transfer_params":{"a":1}'],
    ['an array', '[{"kv_transfer_params":{}}]'],
    ['a text', '"kv_transfer_params"'],
    ['null', 'null'],
    ['parameters that are a text', '{"kv_transfer_params":"x"}'],
    ['parameters that are an array', '{"kv_transfer_params":[]}'],
    ['parameters that are a number', '{"kv_transfer_params":1}'],
    ['what would lead a scanner round and round', '1,"x{"'],
    ['a broken escape', '{"\\u00":1}'],
  ];
  it.each(unusable)('cannot be had from %s', (_name, text) => {
    expect(() => paramsOf(text)).toThrow(UnusableAnswer);
  });

  it('are not looked for beyond 1 MiB', () => {
    const answer = new PrefillAnswer();
    answer.push(Buffer.alloc(1024 * 1024, ' '));
    expect(() => answer.push(Buffer.from(' '))).toThrow(/larger than/);
  });

  it('may be nested as deeply as there is room', () => {
    const depth = 200_000;
    const deep = `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    expect(paramsOf(`{"kv_transfer_params":${deep}}`)).toBe(deep);
  });

  it('are found, missing or refused whatever an engine sends, and an answer is quoted nowhere', () => {
    const noise = fc.oneof(fc.string(), fc.json(), fc.string().map((text) => `{"kv_transfer_params":${text}`)); // prettier-ignore
    fc.assert(
      fc.property(noise, (text) => {
        try {
          const found = paramsOf(text);
          if (found !== null) expect(typeof JSON.parse(found)).toBe('object');
        } catch (error) {
          expect(error).toBeInstanceOf(UnusableAnswer);
        }
      }),
    );
  });
});
