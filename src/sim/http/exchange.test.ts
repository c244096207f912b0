import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import type { AnswerFormat } from './format.ts';
import { Exchange } from './exchange.ts';
import type { Generation } from './generation.ts';

const generation: Generation = {
  adapter: null,
  model: 'm',
  salt: '',
  prompts: [],
  n: 1,
  maxOutput: 1,
  finishReason: 'length',
  stream: true,
  includeUsage: false,
  continuousUsage: false,
};
const wordless: AnswerFormat = { open: () => '', token: () => '', close: () => '', whole: () => '' };

const gone: [string, (response: ServerResponse) => void][] = [
  ['the answer is closed', (response) => void response.destroy()],
  ['the connection is destroyed and has not said so', (response) => void response.assignSocket(new Socket().destroy())],
];

test.each(gone)('an exchange whose client has gone before it begins is over at once: %s', (_name, leave) => {
  const response = new ServerResponse(new IncomingMessage(new Socket()));
  leave(response);
  const over: Exchange[] = [];
  const host = { touched: () => undefined, firstToken: () => undefined, over: (one: Exchange) => void over.push(one) };
  const exchange = new Exchange(response, host);
  exchange.begin({ id: 'a', created: 0, generation, sequences: [], transferParams: null }, wordless);
  expect(over).toEqual([exchange]);
});
