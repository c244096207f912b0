import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { lengthOfRole } from './opening.ts';

const event = (delta: string): string => `data: {"id":"1","choices":[{"index":0,"delta":${delta}}]}\n\n`;

describe('the first event of a chat', () => {
  it.each<[string, string, number]>([
    ['that says who speaks', event('{"role":"assistant","content":""}'), 1],
    ['that says so with other fields', event('{"role":"assistant","content":null,"tool_calls":[]}'), 1],
    ['that says so without a content', event('{"role":"assistant"}'), 1],
    ['that says something', event('{"role":"assistant","content":"Yes"}'), 0],
    ['that goes on', event('{"content":""}'), 0],
    ['of a completion', 'data: {"id":"1","choices":[{"index":0,"text":""}]}\n\n', 0],
    ['that is an error', 'data: {"error":{"message":"no"}}\n\n', 0],
  ])('%s', (_sentence, text, isRole) => {
    expect(lengthOfRole(Buffer.from(text))).toBe(isRole * text.length);
    const behind = `${text}data: {"error":{"message":"no"}}\n\n`;
    expect(lengthOfRole(Buffer.from(behind))).toBe(isRole * text.length);
  });

  it('that is not whole yet is not judged', () => {
    const text = event('{"role":"assistant","content":""}');
    for (let length = 0; length < text.length; length++)
      expect(lengthOfRole(Buffer.from(text.slice(0, length)))).toBe(0);
  });

  it('of a real vLLM is known', () => {
    const captured = readFileSync(new URL('../../sim/testdata/chat_stream.txt', import.meta.url), 'utf8');
    const stream = captured.slice(captured.indexOf('data: '));
    expect(lengthOfRole(Buffer.from(stream))).toBe(stream.indexOf('\n\n') + 2);
  });
});
