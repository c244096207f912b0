import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { endOnceSent, longest } from './linger.ts';
import { ManualClock } from './upstream/engine.fixture.ts';

let server: Server;
let clock: ManualClock;
let response: ServerResponse;
let client: Socket;

/** A client has announced ten bytes, sent five, and got all of its answer; the answer has yet to end. */
beforeEach(async () => {
  clock = new ManualClock();
  server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the server listens on no port');
  client = connect(bound.port, '127.0.0.1');
  client.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345');
  const came = new Promise<ServerResponse>((resolve) => server.once('request', (_request, answer) => resolve(answer)));
  response = await came;
  response.writeHead(413, { connection: 'close', 'content-length': 2 });
  response.write('no');
  endOnceSent(response, clock);
  const [bytes] = (await once(client, 'data')) as [Buffer];
  expect(bytes.toString()).toMatch(/^HTTP\/1\.1 413 .*no$/s);
});

afterEach(async () => {
  client.destroy();
  await new Promise((resolve) => server.close(resolve));
  expect(clock.pending).toBe(0);
});

it('waits for the rest of the request', async () => {
  expect(response.writableEnded).toBe(false);
  client.write('67890');
  await once(client, 'end');
  expect(response.writableEnded).toBe(true);
});

it('does not wait for ever', async () => {
  clock.advance(longest - 1);
  expect(response.writableEnded).toBe(false);
  clock.advance(1);
  await once(client, 'close');
});

it('ends when the client leaves', async () => {
  client.destroy();
  await once(response, 'close');
});
