// What becomes of requests while spans do not come through: nothing.
import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { group, policy } from './testkit/manifests.ts';
import { HermesProcess } from './testkit/process.ts';
import { metric } from './testkit/router.ts';
import { until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

let world: World;
let server: Server;
let sockets: Set<Socket>;
beforeEach(() => {
  world = new World();
  sockets = new Set();
});
afterEach(async () => {
  await world.close();
  for (const socket of sockets) socket.destroy();
  server.close();
});

/** A collector that does as it is told with each call; answers with its address. */
async function collector(answer: (socket: Socket) => void): Promise<string> {
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    socket.on('data', () => answer(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  return `127.0.0.1:${port}`;
}

const say = (text: string) => (socket: Socket) => void socket.end(text);
const http = (status: number, body: string) =>
  say(`HTTP/1.1 ${status} X\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
const capacity = 20;
const batch = 5;

const bounds = {
  OTEL_BSP_MAX_QUEUE_SIZE: String(capacity),
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: String(batch),
  OTEL_BSP_SCHEDULE_DELAY: '20',
};

/** Sends requests through a router that traces to `address`, and says how many were answered. */
async function traffic(address: string, env: Record<string, string> = {}): Promise<number> {
  const engines = await world.script(2, 'm');
  await world.serve(
    [
      group(
        'm',
        engines.map((engine) => engine.address),
      ),
      policy('m'),
    ],
    {
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://${address}`, ...bounds, ...env },
    },
  );
  const answers = await Promise.all(Array.from({ length: 40 }, () => world.client.chat('m')));
  return answers.filter(({ status }) => status === 200).length;
}

const dropped = (reason: string) => metric(world.router, 'hermes_trace_spans_dropped_total', `reason="${reason}"`);
const complaints = () => world.router.process.entries().filter(({ msg }) => msg === 'spans of traces were dropped');

describe('requests are answered, and spans that are lost are counted and told of, where a collector', () => {
  it.each<[string, (socket: Socket) => void]>([
    ['breaks every connection', (socket) => void socket.resetAndDestroy()],
    ['has failed', http(500, 'canary of a collector')],
    ['sends elsewhere', http(301, '')],
    ['does not speak HTTP', say('what do you want?\n')],
  ])('%s', async (_sentence, answer) => {
    expect(await traffic(await collector(answer), { OTEL_EXPORTER_OTLP_TIMEOUT: '200' })).toBe(40);
    await until('the first loss', async () => (await dropped('export_failed')) > 0);
    expect(complaints()[0]).toMatchObject({ level: 'warn', count: expect.any(Number) as number });
    expect(world.router.process.stdout).not.toContain('canary');
    expect(await metric(world.router, 'hermes_trace_spans_exported_total')).toBe(0);
  });

  it('is not there', async () => {
    const address = await collector(() => undefined);
    await new Promise((resolve) => server.close(resolve));
    expect(await traffic(address, { OTEL_EXPORTER_OTLP_TIMEOUT: '200' })).toBe(40);
    await until('the first loss', async () => (await dropped('export_failed')) > 0);
  });

  it('never answers; what waits is bounded, and the end does not wait for it', async () => {
    expect(await traffic(await collector(() => undefined))).toBe(40);
    const lost = 3 * 40 - capacity - batch;
    await until('all that does not fit', async () => (await dropped('queue_full')) === lost);
    expect(complaints().length).toBe(1);
    world.router.process.signal('SIGTERM');
    expect(await world.router.process.exit).toBe(0);
    const last = complaints().at(-1);
    expect(world.router.process.stdout).toContain('stopped');
    expect(last).toMatchObject({ reason: 'queue_full' });
  });
});

it('an answer that the library cannot read counts as taken, and is told of', async () => {
  expect(await traffic(await collector(http(200, 'what is this')))).toBe(40);
  await until('what was sent', async () => (await metric(world.router, 'hermes_trace_spans_exported_total')) > 0);
  const complained = () => world.router.process.entries().some(({ msg }) => msg === 'the library of traces complains');
  await until('the complaint', complained);
});

describe('a router does not start where', () => {
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };
  beforeEach(async () => void (await collector(() => undefined)));

  it.each<[string, Record<string, string>]>([
    ['OTEL_EXPORTER_OTLP_ENDPOINT', { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }],
    ['OTEL_TRACES_SAMPLER_ARG', { ...endpoint, OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '10%' }],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', { ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }],
  ])('%s cannot be meant, and it says so', async (name, env) => {
    const router = new HermesProcess(['serve', '--manifests', '.'], env);
    expect(await router.exit).toBe(2);
    expect(router.stderr).toMatch(new RegExp(`^hermes-router: ${name}\\b.*write`));
  });
});
