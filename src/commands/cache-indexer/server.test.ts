import { connect, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import type { Knowledge } from '../../indexer/serve/answer.ts';
import { createLog } from '../../observability/log.ts';
import { addressOf, type ProxyServer } from '../../proxy/server.ts';
import { IndexerDoor, maxBody } from './door.ts';
import { indexerServer, patience } from './server.ts';
import { QuestionTelemetry } from './telemetry.ts';

let clock: ManualClock;
let door: IndexerDoor;
let server: ProxyServer;
let socket: Socket;
let said: string;
let log: string[];
let knowledge: Knowledge;
beforeEach(async () => {
  clock = new ManualClock();
  said = '';
  log = [];
  knowledge = {
    roster: { serving: () => ({ pods: [], lora: '' }), models: [] },
    blocks: { blockSizeOf: () => 0, match: () => [], gpuRuns: () => [] },
    tokenizer: { tokenize: () => Promise.resolve(null) },
  };
  door = new IndexerDoor({
    get knowledge() {
      return knowledge;
    },
    token: null,
    telemetry: new QuestionTelemetry(),
    readiness: () => ({ ready: false, lines: ['waiting'] }),
    metrics: { contentType: 'text/plain', metrics: () => Promise.reject(new Error('no metrics')) },
    clock,
    log: createLog((line) => log.push(line)),
  });
  server = indexerServer(door, clock, 0);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  socket = connect(Number(addressOf(server).split(':')[1]), '127.0.0.1');
  socket.setEncoding('latin1').on('data', (text: string) => (said += text));
  await new Promise((resolve) => socket.once('connect', resolve));
});
afterEach(() => {
  socket.destroy();
  server.closeAllConnections();
  server.close();
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

const post = (body: string, more = ''): string =>
  `POST /match_sort HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n${more}\r\n${body}`;

it.each([
  ['headers', 'POST /match_sort HTTP/1.1\r\nhost:'],
  ['a body', post('{"model"').slice(0, -1)],
])('gives %s thirty seconds to arrive', async (_what, part) => {
  socket.write(part);
  await until(() => socket.bytesWritten === part.length);
  for (let i = 0; i < 20; i++) await turn();
  clock.advance(patience - 2000);
  for (let i = 0; i < 20; i++) await turn();
  expect(said).toBe('');
  clock.advance(3000);
  await until(() => said !== '');
  expect(said).toMatch(/^HTTP\/1\.1 408 /);
});

it('refuses a body over 4 MiB by its announcement, and closes', async () => {
  socket.write(`POST /match_sort HTTP/1.1\r\nhost: x\r\ncontent-length: ${maxBody + 1}\r\n\r\n`);
  await until(() => said.includes('request_too_large'));
  expect(said).toMatch(/^HTTP\/1\.1 413 .*connection: close/s);
});

it('refuses more bodies at a time than it has memory for, and takes others again once they are gone', async () => {
  const answers: (() => void)[] = [];
  knowledge = {
    ...knowledge,
    tokenizer: { tokenize: () => new Promise((resolve) => answers.push(() => resolve(new Uint32Array(0)))) },
  };
  const body = JSON.stringify({ model: 'm', prompt: 'x'.repeat(maxBody - 30) });
  const sockets = Array.from({ length: 65 }, () => connect(Number(addressOf(server).split(':')[1]), '127.0.0.1'));
  let refused = 0;
  for (const one of sockets)
    one.on('data', (bytes) => (refused += bytes.includes('"overloaded"') ? 1 : 0)).write(post(body));
  await until(() => answers.length + refused === 65);
  expect(refused).toBeGreaterThan(0);
  for (const answer of answers.splice(0)) answer();
  await until(() => door.inFlight === 0);
  socket.write(post(body));
  await until(() => answers.length === 1);
  answers[0]();
  await until(() => said.startsWith('HTTP/1.1 200'));
  for (const one of sockets) one.destroy();
});

it('answers 500 to a failure of its own, tells the log of it, and goes on', async () => {
  socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
  await until(() => said.includes('internal_error'));
  expect(said).toMatch(/^HTTP\/1\.1 500 /);
  expect(said).not.toContain('no metrics');
  expect(log.join()).toContain('no metrics');
  said = '';
  socket.write('GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n');
  await until(() => said.endsWith('waiting\n'));
});

it('forgets a client that leaves while its text is tokenised', async () => {
  let answer = (): void => undefined;
  knowledge = {
    ...knowledge,
    tokenizer: { tokenize: () => new Promise((resolve) => (answer = () => resolve(null))) },
  };
  socket.write(post('{"model": "m", "prompt": "a"}'));
  await until(() => door.inFlight === 1);
  socket.destroy();
  answer();
  await until(() => door.inFlight === 0);
  expect(log).toEqual([]);
});
