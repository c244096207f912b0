import { afterEach, describe, expect, it } from 'vitest';
import { ask, errorOf, type Door } from '../door.fixture.ts';
import { bodiesOf, decodes, openPairDoor, prefills, type PairDoorOptions } from './pair-door.fixture.ts';
import { Flag } from '../../router/states.ts';

let doors: Door[] = [];
const computes = prefills();

/** Two groups of two prefillers and two decoders: slots 0 to 3 and 4 to 7. */
async function opened(options: PairDoorOptions = { door: { pairs: 'FromHeaders' } }): Promise<Door> {
  const group = { prefills: [computes, computes], decodes: [decodes, decodes] };
  const door = await openPairDoor([group, group], options);
  doors.push(door);
  return door;
}

afterEach(async () => {
  for (const door of doors) await door.close();
  doors = [];
});

const addressOf = (door: Door, engine: number): string => `127.0.0.1:${door.engines[engine].target.port}`;

function naming(prefill: string | null, decode: string | null): { headers: Record<string, string> } {
  return {
    headers: {
      ...(prefill === null ? {} : { 'x-openfuyao-prefill-pod-address-port': prefill }),
      ...(decode === null ? {} : { 'X-OpenFuyao-Decode-Pod-Address-Port': decode }),
    },
  };
}

/** The engines that have got a request. */
const asked = (door: Door): number[] => door.engines.flatMap(({ requests }, i) => (requests.length > 0 ? [i] : []));

describe('a pair named in headers', () => {
  it('serves the request', async () => {
    const door = await opened();
    const named = naming(addressOf(door, 5), addressOf(door, 7));
    expect((await ask(door, { model: 'm' }, named)).status).toBe(200);
    expect(asked(door)).toEqual([5, 7]);
    for (const engine of [5, 7]) expect(door.engines[engine].requests[0]).not.toContain('openfuyao');
    expect(bodiesOf(door, 7)[0]).toContain('kv_transfer_params');
  });

  const ignored: [string, string | null, string | null][] = [
    ['prefiller', '127.0.0.1:1', null],
    ['decoder', null, '127.0.0.1:1'],
  ];
  it.each(ignored)('counts for nothing with its %s alone', async (_name, prefill, decode) => {
    const door = await opened();
    expect((await ask(door, { model: 'm' }, naming(prefill, decode))).status).toBe(200);
    expect(asked(door)).toEqual([0, 2]);
  });

  it('counts for nothing before a router that is no leader', async () => {
    const door = await opened({});
    expect((await ask(door, { model: 'm' }, naming(addressOf(door, 5), addressOf(door, 7)))).status).toBe(200);
    expect(asked(door)).toEqual([0, 2]);
  });

  it.each([
    'prefill.example.com:8000',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:123456',
    ':8000',
    '::1:8000',
    '[::1]',
    '127.0.0.1:80,127.0.0.1:81',
    'http://127.0.0.1:80',
    '',
  ])('is refused where it is no address: %j', async (value) => {
    const door = await opened();
    const good = addressOf(door, 2);
    const got = await ask(door, { model: 'm' }, naming(value, good));
    expect(got.status).toBe(400);
    expect(errorOf(got)).toMatchObject({ code: 'invalid_value', param: 'x-openfuyao-prefill-pod-address-port' });
    const other = await ask(door, { model: 'm' }, naming(addressOf(door, 0), value));
    expect(errorOf(other)).toMatchObject({ code: 'invalid_value', param: 'x-openfuyao-decode-pod-address-port' });
    expect(asked(door)).toEqual([]);
    expect(door.frontDoor.bodies.held).toBe(0);
  });

  const strangers: [string, (door: Door) => [string, string]][] = [
    ['is of nobody here', () => ['127.0.0.1:1', '127.0.0.1:2']],
    ['has a decoder of nobody here', (door) => [addressOf(door, 0), '[::1]:8000']],
    ['has its sides the wrong way round', (door) => [addressOf(door, 2), addressOf(door, 0)]],
    ['is of two groups', (door) => [addressOf(door, 0), addressOf(door, 6)]],
  ];
  it.each(strangers)('is refused where it %s', async (_name, pair) => {
    const door = await opened();
    const got = await ask(door, { model: 'm' }, naming(...pair(door)));
    expect(got.status).toBe(400);
    expect(errorOf(got)).toMatchObject({ code: 'invalid_value', type: 'invalid_request_error' });
    expect(asked(door)).toEqual([]);
  });

  it('that takes no requests is as good as none', async () => {
    const door = await opened();
    door.states.set(5, Flag.draining, true);
    expect((await ask(door, { model: 'm' }, naming(addressOf(door, 5), addressOf(door, 7)))).status).toBe(200);
    expect(asked(door)).toEqual([0, 2]);
  });

  it('that fails is not named for further tries', async () => {
    const group = { prefills: [computes], decodes: [decodes] };
    const door = await openPairDoor([group, { prefills: ['127.0.0.1:1'], decodes: [decodes] }], {
      door: { pairs: 'FromHeaders' },
      policy: { retries: { attempts: 2, on: ['ConnectFailure'], budget: { percent: 100, minPerSecond: 100 } } },
    });
    doors.push(door);
    const decode = addressOf(door, 2);
    expect((await ask(door, { model: 'm' }, naming('127.0.0.1:1', decode))).status).toBe(200);
    expect(door.outcomes).toEqual(['2 connect_failure', '0 ok', '1 ok']);
  });
});

describe('the pages of a leader', () => {
  const pages = new Map([
    ['/health', (answer: (page: { status: number; contentType: string; body: string }) => void) => answer({ status: 500, contentType: 'application/json', body: '{"ready":0}' })],
    ['/later', (answer: (page: { status: number; contentType: string; body: string }) => void) => void setImmediate(() => answer({ status: 200, contentType: 'text/plain', body: 'ö' }))],
  ]); // prettier-ignore

  it('are answered to a GET, at once or later', async () => {
    const door = await opened({ door: { pages } });
    const health = await ask(door, null, { method: 'GET', path: '/health?x=y' });
    expect(health).toMatchObject({ status: 500, text: '{"ready":0}' });
    expect(health.headers).toMatchObject({ 'content-type': 'application/json' });
    expect(health.headers).toHaveProperty('x-request-id');
    expect(await ask(door, null, { method: 'GET', path: '/later' })).toMatchObject({ status: 200, text: 'ö' });
    const posted = await ask(door, {}, { path: '/health' });
    expect(posted).toMatchObject({ status: 405 });
    expect(posted.headers.allow).toBe('GET');
  });

  it('are nothing where there are none', async () => {
    const door = await opened({});
    expect((await ask(door, null, { method: 'GET', path: '/health' })).status).toBe(404);
  });
});
