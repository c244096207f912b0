import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request as httpRequest } from 'node:http';
import { performance } from 'node:perf_hooks';
import type { Clock } from '../../src/router/clock.ts';
import type { UpstreamClient, UpstreamTarget } from '../../src/proxy/upstream/client.ts';
import { SocketClient } from '../../src/proxy/upstream/socket-client.ts';
import { UndiciClient } from '../../src/proxy/upstream/undici-client.ts';

/** Sends one request; calls back when the whole answer has been read. */
type Send = (path: string, done: () => void) => void;

const clock: Clock = {
  now: () => performance.now(),
  after: (milliseconds, callback) => {
    const timer = setTimeout(callback, milliseconds).unref();
    return () => clearTimeout(timer);
  },
};
const body = Buffer.alloc(4_096, 'p');
const inFlight = 32;
const rounds = 3;

function byClient(client: UpstreamClient, target: UpstreamTarget): Send {
  const headers = 'content-type: application/json\r\nx-request-id: 0123456789abcdef\r\naccept: */*\r\n';
  return (path, done) => {
    client.dispatch(
      target,
      { method: 'POST', path, headers, body, connectTimeout: 1_000 },
      {
        onHead: () => undefined,
        onData: (chunk) => {
          bytes += chunk.length;
          return true;
        },
        onEnd: done,
        onError: fatal,
      },
    );
  };
}

function byNode(port: number): Send {
  const agent = new Agent({ keepAlive: true, scheduling: 'lifo' });
  const headers = {
    'content-type': 'application/json',
    'x-request-id': '0123456789abcdef',
    accept: '*/*',
    'content-length': body.length,
  };
  return (path, done) => {
    const request = httpRequest({ agent, host: '127.0.0.1', port, method: 'POST', path, headers }, (answer) => {
      answer.on('data', (chunk: Buffer) => (bytes += chunk.length));
      answer.on('end', done);
    });
    request.on('error', fatal);
    request.end(body);
  };
}

let bytes = 0;

function fatal(error: Error): void {
  console.error(error);
  process.exit(1);
}

/** CPU microseconds of this process while `work` runs. */
async function cpu(work: () => Promise<void>): Promise<number> {
  const start = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(start);
  return user + system;
}

function saturate(send: Send, path: string, total: number, width: number): Promise<void> {
  return new Promise((resolve) => {
    let started = 0;
    let ended = 0;
    const next = (): void => {
      if (started < total) {
        started += 1;
        send(path, done);
      }
    };
    const done = (): void => {
      ended += 1;
      if (ended === total) resolve();
      else next();
    };
    for (let i = 0; i < width; i++) next();
  });
}

/** 1,000 requests a second, one each millisecond or so, for `seconds`. */
function paced(send: Send, seconds: number): Promise<void> {
  return new Promise((resolve) => {
    const total = seconds * 1_000;
    const start = performance.now();
    let started = 0;
    let ended = 0;
    const done = (): void => {
      if (++ended === total) resolve();
    };
    const tick = (): void => {
      const due = Math.min(total, performance.now() - start);
      while (started < due) {
        started += 1;
        send('/chat', done);
      }
      if (started < total) setTimeout(tick, 1);
    };
    tick();
  });
}

interface Contender {
  readonly name: string;
  readonly send: Send;
}

interface Row {
  readonly client: string;
  readonly saturated: number;
  readonly paced: number;
  readonly chunk: number;
}

async function measure(client: string, send: Send): Promise<Row> {
  const requests = 20_000;
  const chunks = 300;
  const streams = 64;
  await saturate(send, '/chat', 10_000, inFlight);
  const saturated = (await cpu(() => saturate(send, '/chat', requests, inFlight))) / requests;
  const pace = (await cpu(() => paced(send, 3))) / 3_000;
  await saturate(send, '/stream/50', streams, streams);
  const chunk = (await cpu(() => saturate(send, `/stream/${chunks}`, streams, streams))) / (streams * chunks);
  return { client, saturated, paced: pace, chunk };
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1];

const engine = fork(new URL('./engine.ts', import.meta.url), { stdio: 'inherit' });
const [port]: number[] = await once(engine, 'message');
const target = { host: '127.0.0.1', port };
const only = process.argv.slice(2);
const all: readonly Contender[] = [
  { name: 'socket-client', send: byClient(new SocketClient(clock), target) },
  { name: 'undici-client', send: byClient(new UndiciClient(clock), target) },
  { name: 'node:http Agent', send: byNode(port) },
];
const contenders = all.filter(({ name }) => only.length === 0 || only.includes(name));

const rows: Row[] = [];
for (let round = 0; round < rounds; round++)
  for (const { name, send } of contenders) rows.push(await measure(name, send));

console.log('CPU microseconds of the client process; medians of', rounds, 'rounds');
console.table(
  contenders.map(({ name }) => {
    const mine = rows.filter((row) => row.client === name);
    const figure = (pick: (row: Row) => number): number => Number(median(mine.map(pick)).toFixed(1));
    return {
      client: name,
      'request, 32 in flight': figure((row) => row.saturated),
      'request, 1,000/s': figure((row) => row.paced),
      'SSE chunk, 64 streams of 200/s': figure((row) => row.chunk),
    };
  }),
);
console.log(`${bytes} bytes read`);
process.exit(0);
