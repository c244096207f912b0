import { describe, expect, it } from 'vitest';
import { askedOf } from './asked.ts';

type Body = Readonly<Record<string, unknown>>;
const chat = '/v1/chat/completions';
const hi = [{ role: 'user', content: 'hi' }];
const tool = { type: 'function', function: { name: 'f' } };

const read = (path: string, body: Body): unknown => {
  const asked = askedOf({ path, body });
  if (asked.kind === 'none') return asked.reason;
  if (asked.kind === 'ids') return [...asked.ids];
  return asked.kind === 'text' ? { text: asked.text, ...asked.settings } : asked.chat;
};

describe('what a request wants tokens of', () => {
  const prompts: [sentence: string, path: string, body: Body, wanted: unknown][] = [
    ['a text', '/v1/completions', { prompt: 'hi', echo: true, suffix: null }, { text: 'hi' }],
    ['a text without special tokens', '/v1/completions', { prompt: 'hi', add_special_tokens: false }, { text: 'hi', add_special_tokens: false }],
    ['an empty text', '/v1/completions', { prompt: '' }, { text: '' }],
    ['token ids', '/v1/completions', { prompt: [1, 0, 4294967295] }, [1, 0, 4294967295]],
    ['a list of one text', '/v1/completions', { prompt: ['hi'] }, { text: 'hi' }],
    ['a list of one list of ids', '/v1/completions', { prompt: [[7, 8]] }, [7, 8]],
    ['several texts', '/v1/completions', { prompt: ['a', 'b'] }, 'several_prompts'],
    ['several lists of ids', '/v1/completions', { prompt: [[1], [2]] }, 'several_prompts'],
    ['no prompt', '/v1/completions', {}, 'no_prompt'],
    ['an empty list', '/v1/completions', { prompt: [] }, 'no_prompt'],
    ['a list of an empty list', '/v1/completions', { prompt: [[]] }, 'no_prompt'],
    ['an id that is none', '/v1/completions', { prompt: [1, 2.5] }, 'no_prompt'],
    ['an id beyond 32 bits', '/v1/completions', { prompt: [4294967296] }, 'no_prompt'],
    ['ids and texts mixed', '/v1/completions', { prompt: [1, 'a'] }, 'no_prompt'],
    ['a prompt of another type', '/v1/completions', { prompt: 7 }, 'no_prompt'],
    ['a prompt to be cut', '/v1/completions', { prompt: 'hi', truncate_prompt_tokens: 5 }, 'unsupported'],
    ['embeddings of a prompt', '/v1/completions', { prompt: 'hi', prompt_embeds: 'AA==' }, 'unsupported'],
    ['the input of embeddings', '/v1/embeddings', { input: 'hi' }, { text: 'hi' }],
    ['several inputs of embeddings', '/v1/embeddings', { input: ['a', 'b'] }, 'several_prompts'],
    ['the messages of embeddings, which have defaults of their own', '/v1/embeddings', { messages: hi }, 'unsupported'],
    ['a path of another API', '/v1/messages', { messages: hi }, 'unsupported'],
  ]; // prettier-ignore
  it.each(prompts)('%s', (_sentence, path, body, wanted) => {
    expect(read(path, body)).toEqual(wanted);
  });

  const whole = { messages: hi, settings: {}, tools: undefined, opens: true };
  const chats: [sentence: string, body: Body, wanted: unknown][] = [
    ['messages', { messages: hi, temperature: 1 }, whole],
    ['messages that are to be continued', { messages: hi, continue_final_message: true, add_generation_prompt: false }, { ...whole, settings: { add_generation_prompt: false, continue_final_message: true }, opens: false }],
    ['settings of the template', { messages: hi, chat_template: 't', chat_template_kwargs: { a: 1 }, add_special_tokens: true }, { ...whole, settings: { chat_template: 't', chat_template_kwargs: { a: 1 }, add_special_tokens: true } }],
    ['documents, which are an argument of the template', { messages: hi, documents: [{ text: 'd' }], chat_template_kwargs: { a: 1 } }, { ...whole, settings: { chat_template_kwargs: { a: 1, documents: [{ text: 'd' }] } } }],
    ['tools', { messages: hi, tools: [tool], tool_choice: 'auto' }, { ...whole, tools: [tool] }],
    ['tools that must not be used, which engines may hide', { messages: hi, tools: [tool], tool_choice: 'none' }, 'unsupported'],
    ['tools of another type', { messages: hi, tools: 'f' }, 'unsupported'],
    ['arguments of another type', { messages: hi, chat_template_kwargs: [] }, 'unsupported'],
    ['a switch of another type', { messages: hi, add_generation_prompt: 'yes' }, 'unsupported'],
    ['a null, which counts as absent', { messages: hi, chat_template: null, tools: null, documents: null, reasoning_effort: null }, whole],
    ['an effort, which engines read into other arguments', { messages: hi, reasoning_effort: 'low' }, 'unsupported'],
    ['parts of text', { messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }] }] }, { ...whole, messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }] }] }],
    ['an image', { messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }, { type: 'image_url', image_url: { url: 'x' } }] }] }, 'unsupported'],
    ['a sound', { messages: [{ role: 'user', content: [{ type: 'input_audio', input_audio: {} }] }] }, 'unsupported'],
    ['a content of another type', { messages: [{ role: 'user', content: 5 }] }, 'unsupported'],
    ['a call of a tool', { messages: [...hi, { role: 'assistant', content: null, tool_calls: [] }] }, { ...whole, messages: [...hi, { role: 'assistant', content: null, tool_calls: [] }] }],
    ['a message without a role', { messages: [{ content: 'hi' }] }, 'unsupported'],
    ['a message that is none', { messages: ['hi'] }, 'unsupported'],
    ['no messages', { messages: [] }, 'no_prompt'],
  ]; // prettier-ignore
  it.each(chats)('a chat with %s', (_sentence, body, wanted) => {
    expect(read(chat, body)).toEqual(wanted);
  });

  const responses: [sentence: string, body: Body, wanted: unknown][] = [
    ['a text', { input: 'hi', tools: [] }, whole],
    ['a text and instructions', { input: 'hi', instructions: 'be kind' }, { ...whole, messages: [{ role: 'system', content: 'be kind' }, ...hi] }],
    ['plain messages', { input: hi }, whole],
    ['an answer at the end, which may be one to be continued', { input: [...hi, { role: 'assistant', content: 'h' }] }, 'unsupported'],
    ['items', { input: [{ type: 'function_call_output', call_id: 'c', output: 'o' }] }, 'unsupported'],
    ['tools', { input: 'hi', tools: [tool] }, 'unsupported'],
    ['a response before it', { input: 'hi', previous_response_id: 'r' }, 'unsupported'],
    ['an effort', { input: 'hi', reasoning: { effort: 'low' } }, 'unsupported'],
    ['instructions of another type', { input: 'hi', instructions: [] }, 'unsupported'],
    ['no input', {}, 'no_prompt'],
  ]; // prettier-ignore
  it.each(responses)('a response to %s', (_sentence, body, wanted) => {
    expect(read('/v1/responses', body)).toEqual(wanted);
  });
});
