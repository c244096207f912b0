import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RenderError } from './chat-template.ts';
import { TokenizerFiles, TokenizerFilesError } from './tokenizer-files.ts';
import { afterTest, filesWith, folderWith, tinyModel, user } from './tokens.fixture.ts';

interface Golden {
  readonly template: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly tokens: number[];
}

const read = (name: string): string => readFileSync(new URL(`./testdata/${name}`, import.meta.url), 'utf8');
const golden = JSON.parse(read('golden.json')) as Golden[];

describe('the ids made of the files are those of the library that engines use', () => {
  const files = { tiny: new TokenizerFiles(tinyModel), thinking: filesWith(read('thinking.jinja')) };
  it.each(golden)('$template $body', ({ template, body, tokens }) => {
    expect([...files[template === 'tiny' ? 'tiny' : 'thinking'].tokens(body)]).toEqual(tokens);
  });
});

describe('what reaches a template', () => {
  const shown = (body: object, template = '{% for m in messages %}{{ m | tojson }}{% endfor %}'): number[] => [
    ...filesWith(template).tokens({ messages: [], ...body }),
  ];
  const text = (prompt: string): number[] => [...new TokenizerFiles(tinyModel).tokens({ prompt })];

  const messages: [sentence: string, message: object, seen: string][] = [
    ['parts of text as one', { role: 'user', content: [{ type: 'text', text: 'a' }, { type: 'text', text: 'b' }] }, '{"role": "user", "content": "a\\nb"}'],
    ['no content as an empty text', { role: 'assistant', content: null }, '{"role": "assistant", "content": ""}'],
    ['a name', { role: 'user', content: 'x', name: 'bob' }, '{"role": "user", "content": "x", "name": "bob"}'],
    ['no unknown fields', { role: 'user', content: 'x', tool_calls: [{}], extra: 1 }, '{"role": "user", "content": "x"}'],
    ['thoughts under both of their names', { role: 'assistant', content: 'x', reasoning: 'h' }, '{"role": "assistant", "content": "x", "reasoning": "h", "reasoning_content": "h"}'],
    ['no arguments as an object', { role: 'assistant', content: '', tool_calls: [{ type: 'function', function: { name: 'f', arguments: '' } }] }, '{"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}]}'],
    ['the result of a tool with its call', { role: 'tool', content: 'r', tool_call_id: 'c' }, '{"role": "tool", "content": "r", "tool_call_id": "c"}'],
  ]; // prettier-ignore
  it.each(messages)('is %s', (_sentence, message, seen) => {
    expect(shown({ messages: [message] })).toEqual(text(seen));
  });

  it('is a list of parts where the template walks over them', () => {
    const template = '{% for m in messages %}{% for part in m.content %}<{{ part.text }}>{% endfor %}{% endfor %}';
    expect(shown({ messages: [user('ab'), { role: 'user', content: null }] }, template)).toEqual(text('<ab>'));
  });

  it('is the fields of a tool that engines know, nulls for those it lacks', () => {
    const tools = [{ type: 'function', extra: 1, function: { name: 'f', extra: 2 } }];
    const seen = '{"type": "function", "function": {"name": "f", "description": null, "parameters": null}}';
    expect(shown({ tools }, '{{ tools[0] | tojson }}')).toEqual(text(seen));
  });

  it('is the special tokens of the configuration', () => {
    expect(shown({}, '{{ eos_token }}{{ pad_token }}')).toEqual([2, 0]);
  });

  const refused: [sentence: string, body: object][] = [
    ['a template of the client', { messages: [user('x')], chat_template: '{{ 1 }}' }],
    ['a message to be continued', { messages: [user('x')], continue_final_message: true }],
    ['the role developer', { messages: [{ role: 'developer', content: 'x' }] }],
    ['an image', { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }],
    ['a tool that is none', { messages: [user('x')], tools: [{ type: 'web' }] }],
    ['a call of nothing', { messages: [{ role: 'assistant', content: '', tool_calls: [{}] }] }],
  ];
  it.each(refused)('is never %s', (_sentence, body) => {
    expect(() => new TokenizerFiles(tinyModel).tokens({ ...body })).toThrow(RenderError);
  });
});

describe('a folder', () => {
  const folder = (files: Readonly<Record<string, string>>): string => {
    const path = mkdtempSync(join(tmpdir(), 'tokens-'));
    afterTest(() => rmSync(path, { recursive: true }));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
    return path;
  };
  const tokenizer = readFileSync(join(tinyModel, 'tokenizer.json'), 'utf8');

  const faults: [sentence: string, files: Record<string, string>, message: string][] = [
    ['without tokenizer.json', {}, 'there is no tokenizer.json'],
    ['with half a tokenizer.json', { 'tokenizer.json': '{' }, 'tokenizer.json cannot be used'],
    ['with a tokenizer of an unknown kind', { 'tokenizer.json': '{"model":{"type":"Nonesuch"}}' }, 'tokenizer.json cannot be used'],
    ['with a list for a configuration', { 'tokenizer.json': tokenizer, 'tokenizer_config.json': '[]' }, 'tokenizer_config.json must hold'],
    ['with a broken template', { 'tokenizer.json': tokenizer, 'chat_template.jinja': '{% for %}' }, 'the chat template cannot be used'],
  ]; // prettier-ignore
  it.each(faults)('%s is refused by a message that names the file', (_sentence, files, message) => {
    const path = folder(files);
    expect(() => new TokenizerFiles(path)).toThrow(TokenizerFilesError);
    expect(() => new TokenizerFiles(path)).toThrow(message);
  });

  it('without a template serves texts only', () => {
    const files = new TokenizerFiles(folder({ 'tokenizer.json': tokenizer }));
    expect(files.tokens({ prompt: 'hi' }).length).toBeGreaterThan(0);
    expect(() => files.tokens({ messages: [user('hi')] })).toThrow('no chat template');
  });

  it.each([
    ['itself', '{{ messages[0].content }}!'],
    ['the default one of several', [{ name: 'tool_use', template: 'no' }, { name: 'default', template: '{{ messages[0].content }}!' }]],
  ])('has its template in the configuration: %s', (_sentence, template) => {
    const config = JSON.stringify({ chat_template: template });
    const files = new TokenizerFiles(folder({ 'tokenizer.json': tokenizer, 'tokenizer_config.json': config }));
    expect(files.tokens({ messages: [user('hi')] })).toEqual(files.tokens({ prompt: 'hi!' }));
  }); // prettier-ignore

  it('with a file for the template goes by the file', () => {
    const path = folderWith('file');
    writeFileSync(join(path, 'tokenizer_config.json'), '{"chat_template":"config"}');
    const files = new TokenizerFiles(path);
    expect(files.tokens({ messages: [user('hi')] })).toEqual(files.tokens({ prompt: 'file' }));
  });
});
