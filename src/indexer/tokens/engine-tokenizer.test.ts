import type { ServerResponse } from 'node:http';
import { readFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import type { Connection } from '../../router/policy.ts';
import { startSimEngine } from '../../sim/server.ts';
import { chatPrompt } from '../../sim/http/generation.ts';
import type { Message } from './asked.ts';
import type { TokenMiss } from './contract.ts';
import { createEngineTokenizer } from './engine-tokenizer.ts';
import { TokenMemory } from './memory.ts';
import {
  afterTest,
  assistant,
  chatML,
  chatQuery,
  engine,
  filesWith,
  settled,
  system,
  textQuery,
  user,
} from './tokens.fixture.ts';

interface Setup {
  readonly connection?: Connection;
  readonly isReady?: (address: string) => boolean;
  readonly maxInFlight?: number;
}

function asking(...engines: readonly { readonly address: string }[]) {
  return (setup: Setup = {}) => {
    const clock = new ManualClock();
    const misses: TokenMiss[] = [];
    const tokenizer = createEngineTokenizer({
      connection: { scheme: 'http', forwardAuthorization: false },
      isReady: () => true,
      clock,
      random: () => 0,
      memory: new TokenMemory(),
      timeout: 20,
      onMiss: (reason) => misses.push(reason),
      ...setup,
    });
    afterTest(() => tokenizer.close());
    const candidates = engines.map(({ address }) => address);
    const text = (prompt: string) => Promise.resolve(tokenizer.tokens({ ...textQuery(prompt), candidates }));
    const chat = (messages: readonly Message[], settings?: Message) =>
      Promise.resolve(tokenizer.tokens({ ...chatQuery(messages, settings), candidates }));
    return { tokenizer, clock, misses, text, chat };
  };
}

const good = '{"count":2,"tokens":[7,8],"max_model_len":9}';

describe('what an engine is asked', () => {
  it('is its own path with the key of its group, without a word that it need not know', async () => {
    const one = await engine((_body, response) => response.end(good));
    const { text, chat } = asking(one)({ connection: { scheme: 'http', apiKey: 'k', forwardAuthorization: true } });
    expect(await text('hi')).toEqual(Uint32Array.of(7, 8));
    await chat([user('hi')], {
      user: 'me',
      cache_salt: 's',
      temperature: 1,
      tools: [],
      chat_template_kwargs: { a: 1 },
    });
    expect(one.seen.slice(0, 2)).toMatchObject([
      { url: '/tokenize', authorization: 'Bearer k', body: { model: 'tiny', prompt: 'hi' } },
      { url: '/tokenize', authorization: 'Bearer k' },
    ]);
    expect(one.seen[1].body).toEqual({
      model: 'tiny',
      messages: [user('hi')],
      chat_template_kwargs: { a: 1 },
      tools: [],
    });
  });

  it('goes over TLS to the name and by the authority of its group, and to no other', async () => {
    const pem = (name: string): string =>
      readFileSync(new URL(`../../datalayer/testdata/engine.test-${name}.pem`, import.meta.url), 'utf8');
    const server = createTlsServer({ cert: pem('cert'), key: pem('key') }, (_request, response) => response.end(good));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    afterTest(() => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    });
    const ask = asking({ address: `127.0.0.1:${(server.address() as AddressInfo).port}` });
    const over = (rest: Partial<Connection>): Setup => ({
      connection: { scheme: 'https', forwardAuthorization: false, ...rest },
    });
    const trusted = ask(over({ ca: pem('cert'), serverName: 'engine.test' }));
    expect(await trusted.text('hi')).toEqual(Uint32Array.of(7, 8));
    for (const rest of [{}, { serverName: 'engine.test' }, { ca: pem('cert'), serverName: 'other.test' }]) {
      const { text, misses } = ask(over(rest));
      expect(await text('hi')).toBeNull();
      expect(misses).toEqual(['unreachable']);
    }
  });

  it('keeps its connections', async () => {
    const one = await engine((_body, response) => response.end(good));
    let connections = 0;
    one.server.on('connection', () => (connections += 1));
    const { text } = asking(one)();
    for (let i = 0; i < 50; i++) await text(`prompt ${i}`);
    // The next question may come before the connection of the last one is free.
    expect(connections).toBeLessThanOrEqual(2);
  });

  it('is asked of a ready engine only', async () => {
    const asleep = await engine((_body, response) => response.end(good));
    const ready = await engine((_body, response) => response.end(good));
    const { text } = asking(asleep, ready)({ isReady: (address) => address === ready.address });
    await text('hi');
    expect([asleep.seen.length, ready.seen.length]).toEqual([0, 1]);
    const { text: askNobody, misses } = asking(asleep)({ isReady: () => false });
    expect(await askNobody('hi')).toBeNull();
    expect(misses).toEqual(['no_engine']);
  });

  it('costs the bytes of the last turn where a chat grows', async () => {
    const files = filesWith(chatML);
    const one = await engine((body, response) => {
      const tokens = [...files.tokens(body)];
      response.end(JSON.stringify({ count: tokens.length, tokens }));
    });
    const { chat } = asking(one)();
    const long = 'Some words that make a turn long. '.repeat(30);
    const messages = [system(long), user(long)];
    let waitedFor = 0;
    for (let turn = 0; turn < 20; turn++) {
      const before = one.seen.length;
      expect(await chat([...messages])).toEqual(files.tokens({ messages }));
      // What is asked in the background ends before the next turn begins.
      await new Promise((resolve) => setTimeout(resolve, turn < 6 ? 30 : 0));
      if (turn > 6) waitedFor += one.seen.slice(before).reduce((sum, { bytes }) => sum + bytes, 0);
      messages.push(assistant(`answer ${turn} ${long}`), user(`question ${turn} ${long}`));
    }
    const whole = JSON.stringify({ messages: messages.slice(0, -2) }).length;
    expect(waitedFor / 13).toBeLessThan(2 * long.length + 250);
    expect(whole).toBeGreaterThan(38 * long.length);
  });

  it('has the tokens of a simulated engine, whose chats grow too', async () => {
    const sim = await startSimEngine({ models: ['tiny'] });
    afterTest(() => sim.close());
    const { chat, text, misses } = asking(sim)();
    const messages = [system('rules'), user('hello')];
    for (let turn = 0; turn < 8; turn++) {
      expect(await chat([...messages])).toEqual(chatPrompt(messages));
      await new Promise((resolve) => setTimeout(resolve, 20));
      messages.push(assistant(`answer ${turn}`), user(`question ${turn}`));
    }
    expect((await text('abcdefgh'))?.length).toBe(2);
    expect(misses).toEqual([]);
  });
});

describe('what an engine may do wrong', () => {
  const answers: [sentence: string, reason: TokenMiss, answer: (response: ServerResponse) => void][] = [
    ['an error of its own', 'status', (response) => response.writeHead(500).end(good)],
    ['a refusal', 'status', (response) => response.writeHead(400).end(good)],
    ['a redirect, which is not followed', 'status', (response) => response.writeHead(307, { location: '/' }).end()],
    ['no JSON', 'answer_invalid', (response) => response.end('<html>')],
    ['no tokens', 'answer_invalid', (response) => response.end('{}')],
    ['an answer over 8 MiB', 'answer_too_large', (response) => response.end(`{"tokens":[${'1,'.repeat(5 * 1024 * 1024)}1]}`)],
    ['an answer cut off', 'unreachable', (response) => {
      response.writeHead(200, { 'content-length': '100' }).write('{"tokens":[');
      setImmediate(() => response.destroy());
    }],
  ]; // prettier-ignore
  it.each(answers)('%s is counted', async (_sentence, reason, answer) => {
    const one = await engine((_body, response) => answer(response));
    const { text, misses, clock } = asking(one)();
    expect(await text('hi')).toBeNull();
    expect(misses).toEqual([reason]);
    expect(clock.pending).toBe(0);
  });

  it('rubbish costs no more than the request its exactness', async () => {
    const rubbish = fc.oneof(fc.string(), fc.json(), fc.json().map((value) => `{"tokens":${value}}`)); // prettier-ignore
    const texts = fc.sample(rubbish, 300);
    let next = 0;
    const one = await engine((_body, response) => response.end(texts[next++ % texts.length]));
    const { text, clock } = asking(one)();
    for (let i = 0; i < texts.length; i++) {
      clock.advance(61_000);
      const ids = await text(`prompt ${i}`);
      expect(ids === null || ids instanceof Uint32Array).toBe(true);
    }
    expect(clock.pending).toBe(0);
  });

  it('being late costs the limit; the answer serves the next request, and nothing is left behind', async () => {
    const late: (() => void)[] = [];
    const one = await engine((_body, response) => late.push(() => response.end(good)));
    const { text, misses, clock } = asking(one)();
    const asked = text('hi');
    await one.asked(1);
    clock.advance(20);
    expect(await asked).toBeNull();
    late[0]();
    for (let i = 0; clock.pending > 0 && i < 1000; i++) await settled();
    expect(clock.pending).toBe(0);
    expect(await text('hi')).toEqual(Uint32Array.of(7, 8));
    expect(one.seen).toHaveLength(1);
    expect(misses).toEqual(['timeout']);
  });

  it.each(['says nothing', 'never ends its answer'])('an engine that %s is let go after two seconds', async (how) => {
    const closed: Promise<void>[] = [];
    const one = await engine((_body, response, request) => {
      closed.push(new Promise((resolve) => request.socket.on('close', () => resolve())));
      if (how !== 'says nothing') response.writeHead(200).write('{"tokens":[');
    });
    const { text, misses, clock } = asking(one)();
    const asked = text('hi');
    await one.asked(1);
    clock.advance(20);
    await asked;
    expect(clock.pending).toBe(1);
    clock.advance(1980);
    await closed[0];
    await settled();
    expect(clock.pending).toBe(0);
    expect(misses).toEqual(['timeout']);
  });

  it('an engine that accepts and is silent costs nobody more than the limit', async () => {
    const sockets: Socket[] = [];
    const server = createTcpServer((socket) => sockets.push(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { text, misses, clock } = asking({ address: `127.0.0.1:${(server.address() as AddressInfo).port}` })();
    afterTest(() => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    });
    const asked = text('hi');
    clock.advance(20);
    expect(await asked).toBeNull();
    expect(misses).toEqual(['timeout']);
  });

  it('only so many requests wait for engines that hang, then none until a trial is due', async () => {
    const one = await engine(() => undefined);
    const { text, misses, clock } = asking(one)({ maxInFlight: 5 });
    const waiting = Array.from({ length: 5 }, (_, i) => text(`prompt ${i}`));
    await one.asked(5);
    expect(await text('one more')).toBeNull();
    expect(misses).toEqual(['too_many']);
    clock.advance(2000);
    expect(await Promise.all(waiting)).toEqual(Array(5).fill(null));
    await settled();
    expect(await text('another')).toBeNull();
    expect(misses.at(-1)).toBe('breaker_open');
    clock.advance(5000);
    void text('a trial');
    await one.asked(6);
  });

  it('an engine that fails is left out while another serves', async () => {
    const broken = await engine((_body, response) => response.writeHead(503).end());
    const fine = await engine((_body, response) => response.end(good));
    const { text } = asking(broken, fine)();
    for (let i = 0; i < 5; i++) expect(await text(`prompt ${i}`)).toBeNull();
    for (let i = 5; i < 10; i++) expect(await text(`prompt ${i}`)).toEqual(Uint32Array.of(7, 8));
    expect([broken.seen.length, fine.seen.length]).toEqual([5, 5]);
  });

  it('an engine that is not there is asked no more after five times', async () => {
    const { text, misses } = asking({ address: '127.0.0.1:9' })();
    for (let i = 0; i < 6; i++) await text(`prompt ${i}`);
    expect(misses).toEqual([...Array<TokenMiss>(5).fill('unreachable'), 'breaker_open']);
  });

  it.each([
    [400, ''],
    [404, '{"error":{"message":"The model does not exist."}}'],
  ])('refusals of single requests shut nobody off: %i', async (status, answer) => {
    const one = await engine((_body, response) => response.writeHead(status).end(answer));
    const { text } = asking(one)();
    for (let i = 0; i < 12; i++) await text(`prompt ${i}`);
    expect(one.seen).toHaveLength(12);
  });

  it.each([
    [404, '{"detail":"Not Found"}'],
    [405, ''],
  ])('an engine without the path is asked no more after five times: %i', async (status, answer) => {
    const one = await engine((_body, response) => response.writeHead(status).end(answer));
    const { text, misses } = asking(one)();
    for (let i = 0; i < 12; i++) await text(`prompt ${i}`);
    expect(one.seen).toHaveLength(5);
    expect(misses.at(-1)).toBe('breaker_open');
  });

  it('closing ends what is under way', async () => {
    const one = await engine(() => undefined);
    const { text, tokenizer, misses } = asking(one)();
    const asked = text('hi');
    await one.asked(1);
    await tokenizer.close();
    expect(await asked).toBeNull();
    expect(misses).toEqual(['unreachable']);
  });
});
