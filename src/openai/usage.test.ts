import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UsageTail } from './usage.ts';

function usage(...pieces: string[]) {
  const tail = new UsageTail();
  for (const piece of pieces) tail.push(Buffer.from(piece));
  return tail.read();
}

const none = { promptTokens: -1, completionTokens: -1, cachedTokens: -1 };
const event = (usageJson: string) => `data: {"id":"x","choices":[],"usage":${usageJson}}\n\n`;

describe('UsageTail', () => {
  const cases: [string, string[], Partial<typeof none>][] = [
    ['nothing of no answer', [], none],
    ['nothing of an answer without usage', ['{"choices":[]}'], none],
    ['nothing of a usage of null', [event('null')], none],
    ['chat completions', ['{"usage":{"prompt_tokens":12,"total_tokens":20,"completion_tokens":8}}'], { promptTokens: 12, completionTokens: 8, cachedTokens: -1 }],
    ['cached tokens', ['{"usage": {"prompt_tokens": 12, "completion_tokens": 8, "prompt_tokens_details": {"cached_tokens": 10}}}'], { promptTokens: 12, completionTokens: 8, cachedTokens: 10 }],
    ['responses', ['{"usage":{"input_tokens":5,"input_tokens_details":{"cached_tokens":4},"output_tokens":6}}'], { promptTokens: 5, completionTokens: 6, cachedTokens: 4 }],
    ['embeddings, which generate nothing', ['{"usage":{"prompt_tokens":7,"total_tokens":7}}'], { promptTokens: 7, completionTokens: -1 }],
    ['the event before [DONE]', [event('{"prompt_tokens":3,"completion_tokens":4}'), 'data: [DONE]\n\n'], { promptTokens: 3, completionTokens: 4 }],
    ['the event before [DONE] and a comment', [event('{"prompt_tokens":3,"completion_tokens":4}'), ': ping\n\n', 'data: [DONE]\n\n'], { promptTokens: 3, completionTokens: 4 }],
    ['the last of several', [event('{"prompt_tokens":3,"completion_tokens":1}'), event('{"prompt_tokens":3,"completion_tokens":2}')], { completionTokens: 2 }],
    ['a usage cut in two pieces', ['{"usage":{"prompt_', 'tokens":31,"completion_tokens":2}}'], { promptTokens: 31, completionTokens: 2 }],
    ['a usage that is not last', ['{"usage":{"prompt_tokens":3,"completion_tokens":4},"x":"' + 'y'.repeat(9000) + '"}'], { promptTokens: 3, completionTokens: 4 }],
    ['no generated text that looks like usage', ['{"text":"\\"usage\\": {\\"prompt_tokens\\": 9}"}'], none],
  ]; // prettier-ignore
  it.each(cases)('reads %s', (_name, pieces, wanted) => {
    expect(usage(...pieces)).toMatchObject(wanted);
  });

  it('reads the usage of a stream however many events came before', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), fc.nat(), fc.nat(), (texts, promptTokens, completionTokens) => {
        const events = texts.map((text) => `data: ${JSON.stringify({ choices: [{ text }] })}\n\n`);
        const last = event(JSON.stringify({ prompt_tokens: promptTokens, completion_tokens: completionTokens }));
        expect(usage(...events, last, 'data: [DONE]\n\n')).toMatchObject({ promptTokens, completionTokens });
      }),
    );
  });
});
