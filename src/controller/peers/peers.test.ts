import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import type { ReplicaReport } from '../../observability/replica-report.ts';
import { report, settle, silentLog } from '../status/status.fixture.ts';
import { Peers, type Peer } from './peers.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const clock = new ManualClock();
const told = (replica: string, ready = true): ReplicaReport => ({ replica, ready, policies: [report()] });
const tells =
  (value: unknown): Answer =>
  (_request, response) =>
    response.end(typeof value === 'string' ? value : JSON.stringify(value));

let servers: Server[] = [];
let source: Peer[] = [];
let token: string | null;
let peers: Peers;

/** A replica on loopback; what it answers can be changed. */
async function listen(answer: Answer): Promise<{ address: string; answer: Answer; asked: number }> {
  const at = { address: '', answer, asked: 0 };
  const server = createServer((request, response) => {
    at.asked += 1;
    at.answer(request, response);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  at.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return at;
}

const peer = (address: string, name: string | null = null): Peer => ({ address, name });
const states = async () => (await peers.gather()).map(({ replica, state }) => `${replica} ${state}`);

beforeEach(() => {
  source = [];
  token = null;
  peers = new Peers({ source: () => source, own: () => told('own'), token: () => token, clock, log: silentLog });
});

afterEach(() => {
  for (const server of servers) server.close().closeAllConnections();
  servers = [];
});

describe('gather', () => {
  it('has this replica alone where there is no other', async () => {
    expect(await states()).toEqual(['own ready']);
  });

  it('has what the others tell, ready or not, and their policies by name', async () => {
    const [a, b] = [await listen(tells(told('a'))), await listen(tells(told('b', false)))];
    source = [peer(a.address, 'a'), peer(b.address, 'b')];
    const views = await peers.gather();
    expect(views.map(({ replica, state }) => `${replica} ${state}`)).toEqual(['own ready', 'a ready', 'b notReady']);
    expect(views[1].policies.get('default/p')).toEqual(report());
    expect([...peers.results]).toEqual([['told', 2]]);
  });

  it('does not ask itself, and does not count itself twice where a list has no names', async () => {
    const own = await listen(tells(told('own')));
    source = [peer(own.address, 'own')];
    expect(await states()).toEqual(['own ready']);
    expect(own.asked).toBe(0);
    source = [peer(own.address)];
    expect(await states()).toEqual(['own ready']);
    expect(own.asked).toBe(1);
  });

  it('hears a replica that answers at one of its addresses only', async () => {
    const a = await listen(tells(told('a')));
    source = [peer('127.0.0.1:1', 'a'), peer(a.address, 'a')];
    for (let i = 0; i < 4; i++) expect(await states()).toEqual(['own ready', 'a ready']);
  });

  it('shows the admin token, and asks for the stats', async () => {
    const seen: unknown[] = [];
    const a = await listen((request, response) => {
      seen.push(request.method, request.url, request.headers.authorization);
      tells(told('a'))(request, response);
    });
    source = [peer(a.address)];
    await peers.gather();
    token = 'secret';
    await peers.gather();
    expect(seen).toEqual(['GET', '/api/v1/stats', undefined, 'GET', '/api/v1/stats', 'Bearer secret']);
  });

  it('lets a replica that misses calls stand for what it told, then calls it silent, until it answers again', async () => {
    const a = await listen(tells(told('a')));
    source = [peer(a.address, 'a')];
    await peers.gather();
    a.answer = (_request, response) => response.writeHead(503).end();
    const seen = [];
    for (let i = 0; i < 4; i++) seen.push((await states())[1]);
    expect(seen).toEqual(['a ready', 'a ready', 'a silent', 'a silent']);
    a.answer = tells(told('a'));
    expect((await states())[1]).toBe('a ready');
  });

  it('calls one that has never told anything silent by its name, after as many tries', async () => {
    source = [peer('127.0.0.1:1', 'a'), peer('127.0.0.1:2')];
    expect([await states(), await states()]).toEqual([['own ready'], ['own ready']]);
    expect(await states()).toEqual(['own ready', 'a silent', '127.0.0.1:2 silent']);
    expect([...peers.results]).toEqual([['unreachable', 6]]);
  });

  it('forgets a replica that is gone', async () => {
    source = [peer('127.0.0.1:1', 'a')];
    for (let i = 0; i < 3; i++) await peers.gather();
    source = [];
    expect(await states()).toEqual(['own ready']);
    source = [peer('127.0.0.1:1', 'b')];
    expect(await states()).toEqual(['own ready']);
  });

  const rubbish: [string, Answer][] = [
    ['no JSON', tells('<html>')],
    ['another shape', tells([{ policy: 'default/p' }])],
    ['a number that is none', tells(JSON.stringify(told('a')).replace('"inFlight":0', '"inFlight":1e999'))],
  ];
  it.each(rubbish)('calls one that tells %s silent at once, and counts it', async (_name, answer) => {
    const a = await listen(answer);
    source = [peer(a.address, 'a')];
    expect(await states()).toEqual(['own ready', 'a silent']);
    expect(peers.results.get('rubbish')).toBe(1);
  });

  const refusals: [string, Answer][] = [
    ['refuses the token', (_request, response) => response.writeHead(401).end()],
    ['points elsewhere', (_request, response) => response.writeHead(302, { location: '/elsewhere' }).end()],
    ['breaks off', (_request, response) => response.writeHead(200, { 'content-length': '100' }).end('{"replica":', () => response.destroy())],
    ['answers without end', (_request, response) => endless(response)],
  ]; // prettier-ignore
  it.each(refusals)('is not held up by one that %s', async (_name, answer) => {
    const [a, b] = [await listen(answer), await listen(tells(told('b')))];
    source = [peer(a.address, 'a'), peer(b.address, 'b')];
    expect(await states()).toEqual(['own ready', 'b ready']);
    expect(peers.results.get('unreachable')).toBe(1);
  });

  it('waits 2 s for one that does not answer, and has the others', async () => {
    const [a, b] = [await listen(() => {}), await listen(tells(told('b')))];
    source = [peer(a.address, 'a'), peer(b.address, 'b')];
    const gathered = states();
    while (a.asked === 0 || peers.results.get('told') !== 1) await settle();
    let over = false;
    void gathered.then(() => (over = true));
    clock.advance(1999);
    await settle();
    expect(over).toBe(false);
    clock.advance(1);
    expect(await gathered).toEqual(['own ready', 'b ready']);
    expect(clock.pending).toBe(0);
  });

  it('asks 8 at a time', async () => {
    let [now, most] = [0, 0];
    const answers: Answer[] = Array.from({ length: 20 }, (_, i) => (request, response) => {
      now += 1;
      most = Math.max(most, now);
      setTimeout(() => {
        now -= 1;
        tells(told(`r${i}`))(request, response);
      }, 5);
    });
    source = await Promise.all(answers.map(async (answer) => peer((await listen(answer)).address)));
    expect(await states()).toHaveLength(21);
    expect(most).toBeLessThanOrEqual(8);
    expect(most).toBeGreaterThan(1);
  });
});

function endless(response: ServerResponse): void {
  const more = (): void => {
    while (!response.destroyed && response.write(Buffer.alloc(65_536, ' '))) continue;
  };
  response.on('drain', more);
  more();
}
