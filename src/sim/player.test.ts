import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { noFault } from './faults.ts';
import { play } from './player.ts';
import { startSimEngine, type SimEngine } from './server.ts';
import { conversations, sharedPrompts, type Workload, type WorkloadRequest } from './workloads.ts';

const engines: SimEngine[] = [];
const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.close()));
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

const speedUp = 500;

async function start(): Promise<SimEngine> {
  const engine = await startSimEngine({ models: ['m'], speedUp });
  engines.push(engine);
  return engine;
}

function options(engine: SimEngine, concurrency = 4) {
  return { origin: `http://${engine.address}`, model: 'm', concurrency, speedUp };
}

function shortRequest(more: Partial<WorkloadRequest>): WorkloadRequest {
  const messages = () => [{ role: 'user' as const, content: 'abcd'.repeat(64) }];
  return { promptTokens: 64, maxTokens: 4, after: -1, at: null, messages, ...more };
}

test('plays all, and counts tokens and hits as the engine does', async () => {
  const engine = await start();
  const seen: number[] = [];
  const onProgress = (done: number, total: number): void => {
    expect(total).toBe(24);
    seen.push(done);
  };
  const result = await play(sharedPrompts(1, 6), { ...options(engine), onProgress });
  const { hits, queries } = engine.state();
  expect(result).toMatchObject({
    requests: 24,
    failures: {},
    outputTokens: 24 * 128,
    promptTokens: queries,
    cachedTokens: hits,
  });
  expect(result.hitRate).toBe(hits / queries);
  expect(seen).toEqual(Array.from({ length: 24 }, (_, i) => i + 1));
  expect(result.firstToken.p50).toBeGreaterThan(0);
  expect(result.firstToken.p90).toBeLessThanOrEqual(result.duration.p90);
});

test('never starts a request before the one it comes after has ended, though there is room', async () => {
  const engine = await start();
  const endedBefore: number[] = [];
  const ends = (): void => void endedBefore.push(engine.state().finished);
  const { messages } = shortRequest({});
  const noted = () => {
    ends();
    return messages();
  };
  const requests = [
    shortRequest({ maxTokens: 50, messages: noted }),
    shortRequest({ after: 0, messages: noted }),
    shortRequest({ after: 1, messages: noted }),
  ];
  const result = await play({ name: 'w', title: 'w', requests }, options(engine));
  expect(result.failures).toEqual({});
  expect(endedBefore).toEqual([0, 1, 2]);
});

test('keeps as many requests in flight as asked, and every turn of a conversation hits those before it', async () => {
  const engine = await start();
  let most = 0;
  let inFlight = 0;
  const workload = conversations(1, 3);
  const requests = workload.requests.map((request) => ({
    ...request,
    messages: () => {
      inFlight += 1;
      most = Math.max(most, inFlight);
      return request.messages();
    },
  }));
  const onProgress = (): void => {
    inFlight -= 1;
  };
  const result = await play({ ...workload, requests }, { ...options(engine, 2), onProgress });
  expect(result.failures).toEqual({});
  expect(result.hitRate).toBeGreaterThan(0.65);
  expect([most, inFlight]).toEqual([2, 0]);
});

test('requests with a time of their own start at it, in engine time, beside the concurrency', async () => {
  const engine = await start();
  const requests = [3, 0, 1.5].map((at) => shortRequest({ at, maxTokens: 1 }));
  const workload: Workload = { name: 'timed', title: 'timed', requests };
  const result = await play(workload, options(engine, 1));
  expect(result.requests).toBe(3);
  expect(result.seconds).toBeGreaterThanOrEqual(3);
});

test('failures are counted by kind and kept out of the figures', async () => {
  const engine = await start();
  engine.setFault({ ...noFault, type: 'error', count: 2 });
  const workload: Workload = { name: 'w', title: 'w', requests: Array.from({ length: 5 }, () => shortRequest({})) };
  const result = await play(workload, options(engine, 1));
  expect(result).toMatchObject({ requests: 5, failures: { 'status 500': 2 }, outputTokens: 12 });
  engine.setFault({ ...noFault, type: 'cut', afterTokens: 2 });
  const cut = await play(workload, options(engine, 1));
  expect(Object.values(cut.failures)).toEqual([5]);
  expect(cut.outputTokens).toBe(0);
});

test('a stream that ends without its mark is a failure', async () => {
  const server = createServer((_request, response) => {
    response.end('data: {"choices":[]}\n\n');
  });
  servers.push(server);
  const listening = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', listening.resolve);
  await listening.promise;
  const { port } = server.address() as AddressInfo;
  const workload: Workload = { name: 'w', title: 'w', requests: [shortRequest({})] };
  const result = await play(workload, { origin: `http://127.0.0.1:${port}`, model: 'm', concurrency: 1, speedUp });
  expect(result.failures).toEqual({ 'stream without an end': 1 });
});
