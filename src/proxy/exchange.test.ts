import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeTracer } from '../observability/tracing/tracer.fixture.ts';
import { Trails } from '../observability/tracing/trail.ts';
import { backend, endpoint, group } from '../../test/fixtures/fleet.ts';
import type { Backend, RetryCause } from '../router/policy.ts';
import { RoutingTable } from '../router/table.ts';
import {
  ask, books, chunk, emptyBooks, errorOf, events, json, lastChunk, open, openDoor, reset, respond, silent, streamHead,
  until, type Door, type DoorOptions,
} from './door.fixture.ts'; // prettier-ignore
import type { Answerer } from './upstream/engine.fixture.ts';

let doors: Door[] = [];

async function opened(answers: readonly (Answerer | string)[], options?: DoorOptions): Promise<Door> {
  const door = await openDoor(answers, options);
  doors.push(door);
  return door;
}

afterEach(async () => {
  for (const door of doors) await door.close();
  doors = [];
});

const ok = json(200, { id: 'x' });
const unavailable = json(503, { said: 'by engine' });
/** A port on which nobody listens: the first of all is never an engine's. */
const nobody = '127.0.0.1:1';
const all: readonly RetryCause[] = ['ConnectFailure', 'Reset', 'Unavailable', 'Timeout'];
const budget = { percent: 100, minPerSecond: 100 };

const retries = (on: readonly RetryCause[], attempts = 2, limits = budget): DoorOptions => ({
  policy: { retries: { attempts, on, budget: limits } },
});

/** Requests that each engine has got. */
const tries = (door: Door): number[] => door.engines.map(({ requests }) => requests.length);

/** Lets all time-outs of a door's exchanges pass, and expects that nothing is held. */
async function settled(door: Door): Promise<void> {
  await until(() => door.started === door.finished.length);
  door.clock.advance(6000);
  expect(books(door)).toEqual(emptyBooks);
}

describe('a failure before a byte of the answer', () => {
  interface Case {
    readonly engines: readonly (Answerer | string)[];
    readonly options: DoorOptions;
    readonly status: number;
    readonly code?: string;
    readonly outcomes: readonly string[];
    readonly retried: number;
  }
  const cases: [string, Case][] = [
    ['is retried on another engine where nobody listens', { engines: [nobody, ok], options: retries(['ConnectFailure']), status: 200, outcomes: ['0 connect_failure', '1 ok'], retried: 1 }],
    ['is retried on another engine where the connection breaks', { engines: [reset, ok], options: retries(['Reset']), status: 200, outcomes: ['0 reset', '1 ok'], retried: 1 }],
    ['is retried on another engine where it says 503', { engines: [unavailable, ok], options: retries(['Unavailable']), status: 200, outcomes: ['0 server_error', '1 ok'], retried: 1 }],
    ['is not retried for a cause that the policy does not name: no connection', { engines: [nobody, ok], options: retries(['Reset', 'Unavailable', 'Timeout']), status: 502, code: 'upstream_unreachable', outcomes: ['0 connect_failure'], retried: 0 }],
    ['is not retried for a cause that the policy does not name: reset', { engines: [reset, ok], options: retries(['ConnectFailure', 'Unavailable', 'Timeout']), status: 502, code: 'upstream_unreachable', outcomes: ['0 reset'], retried: 0 }],
    ['is not retried for a cause that the policy does not name: 503', { engines: [unavailable, ok], options: retries(['ConnectFailure', 'Reset', 'Timeout']), status: 503, outcomes: ['0 server_error'], retried: 0 }],
    ['is tried on so many engines and no more', { engines: [nobody, nobody, nobody, ok], options: retries(all, 2), status: 502, code: 'upstream_unreachable', outcomes: ['0 connect_failure', '1 connect_failure', '2 connect_failure'], retried: 2 }],
    ['is not retried where there are to be no further attempts', { engines: [nobody, ok], options: retries(all, 0), status: 502, code: 'upstream_unreachable', outcomes: ['0 connect_failure'], retried: 0 }],
    ['is not retried on the same engine', { engines: [nobody], options: retries(all), status: 502, code: 'upstream_unreachable', outcomes: ['0 connect_failure'], retried: 0 }],
    ['meets no third engine where two connections have broken', { engines: [reset, reset, ok], options: retries(all, 5), status: 502, code: 'upstream_unreachable', outcomes: ['0 reset', '1 reset'], retried: 1 }],
    ['may go on after one that broke and one that was not there', { engines: [reset, nobody, ok], options: retries(all, 5), status: 200, outcomes: ['0 reset', '1 connect_failure', '2 ok'], retried: 2 }],
    ["ends with the engine's own 503 after the last try", { engines: [unavailable, unavailable], options: retries(all), status: 503, outcomes: ['0 server_error', '1 server_error'], retried: 1 }],
    ['needs the budget', { engines: [reset, ok], options: retries(all, 2, { percent: 0, minPerSecond: 0 }), status: 502, code: 'upstream_unreachable', outcomes: ['0 reset'], retried: 0 }],
    ['needs no budget where nothing was accepted', { engines: [nobody, ok], options: retries(all, 2, { percent: 0, minPerSecond: 0 }), status: 200, outcomes: ['0 connect_failure', '1 ok'], retried: 1 }],
    ['is not retried where the answer is an error of the request', { engines: [json(400, {}), ok], options: retries(all), status: 400, outcomes: ['0 ok'], retried: 0 }],
    ['is not retried where the answer is another error of the engine', { engines: [json(500, {}), ok], options: retries(all), status: 500, outcomes: ['0 server_error'], retried: 0 }],
    ['counts an answer that is no HTTP as a break', { engines: [(socket) => void socket.end('hello\r\n\r\n'), ok], options: retries(all), status: 200, outcomes: ['0 reset', '1 ok'], retried: 1 }],
  ]; // prettier-ignore
  it.each(cases)('%s', async (_name, { engines, options, status, code, outcomes, retried }) => {
    const door = await opened(engines, options);
    const got = await ask(door);
    expect(got.status).toBe(status);
    if (code !== undefined) expect(errorOf(got)).toMatchObject({ code, type: 'upstream_error' });
    expect(door.outcomes).toEqual(outcomes);
    expect(door.retried).toBe(retried);
    expect(door.finished).toHaveLength(1);
    await settled(door);
  });

  it('tells the client not to come back where two engines have died of its request', async () => {
    const twice = await ask(await opened([reset, reset], retries(all)));
    expect(twice.headers['x-should-retry']).toBe('false');
    const once = await ask(await opened([reset], retries(all)));
    expect(once.headers).not.toHaveProperty('x-should-retry');
  });

  it('sends the same id and body to each engine', async () => {
    const door = await opened([unavailable, ok], retries(all));
    await ask(door, { model: 'm', prompt: 'x' }, { headers: { 'x-request-id': 'id-7' } });
    const [first, second] = door.engines.map(({ requests }) => requests[0]);
    expect(first).toContain('x-request-id: id-7');
    expect(second.replace(/host: .*/, '')).toBe(first.replace(/host: .*/, ''));
  });

  it('goes to another backend where the first has no other engine, with that one’s name of the model', async () => {
    const door = await opened([unavailable, ok], retries(all));
    const { endpoints } = door.store.current.policies[0].backends[0].group;
    const one = backend({ group: group({ name: 'one', endpoints: [endpoints[0]] }), rewriteModel: 'm-one' });
    const two = backend({ group: group({ name: 'two', endpoints: [endpoints[1]] }), rewriteModel: 'm-two' });
    route(door, [one, two]);
    expect((await ask(door)).status).toBe(200);
    expect(door.engines.map(({ requests }) => requests[0].split('\r\n\r\n')[1])).toEqual([
      '{"model":"m-one"}',
      '{"model":"m-two"}',
    ]);
  });
});

const noLimits = { connect: 1000, firstByte: 0, streamIdle: 0, nonStreaming: 0, request: 0 };

/** Puts a table in force in which the door's policy has these backends. */
function route(door: Door, backends: readonly Backend[]): void {
  const [routed] = door.store.current.policies;
  const groups = new Map(backends.map((one) => [one.group.key, one.group]));
  door.store.current = new RoutingTable(2, [{ ...routed, backends }], groups);
}

describe('a limit of time', () => {
  interface Case {
    readonly timeouts: Partial<typeof noLimits>;
    readonly stream: boolean;
    readonly engine: Answerer;
    readonly after: number;
    readonly status: number;
  }
  const first: Answerer = (socket) => void socket.write(streamHead);
  const cases: [string, Case][] = [
    ['nonStreaming ends a whole answer', { timeouts: { nonStreaming: 5000 }, stream: false, engine: silent, after: 5000, status: 504 }],
    ['nonStreaming leaves a stream alone', { timeouts: { nonStreaming: 5000, firstByte: 9000 }, stream: true, engine: silent, after: 9000, status: 504 }],
    ['firstByte ends a stream that does not begin', { timeouts: { firstByte: 2000 }, stream: true, engine: silent, after: 2000, status: 504 }],
    ['firstByte ends a stream that has a head and no event', { timeouts: { firstByte: 2000 }, stream: true, engine: first, after: 2000, status: 504 }],
    ['firstByte leaves a whole answer alone', { timeouts: { firstByte: 2000, nonStreaming: 5000 }, stream: false, engine: silent, after: 5000, status: 504 }],
    ['request ends a whole answer', { timeouts: { request: 3000, nonStreaming: 5000 }, stream: false, engine: silent, after: 3000, status: 504 }],
    ['request ends a stream', { timeouts: { request: 3000, firstByte: 5000 }, stream: true, engine: silent, after: 3000, status: 504 }],
  ]; // prettier-ignore
  it.each(cases)('%s', async (_name, { timeouts, stream, engine, after, status }) => {
    const door = await opened([engine], { policy: { timeouts: { ...noLimits, ...timeouts } } });
    const { got } = open(door, { model: 'm', stream });
    await until(() => door.engines[0].requests.length === 1);
    door.clock.advance(after - 100);
    expect(door.finished).toEqual([]);
    door.clock.advance(200);
    const answer = await got;
    expect(answer.status).toBe(status);
    expect(errorOf(answer)).toMatchObject({ code: 'upstream_timeout', type: 'upstream_error' });
    expect(door.outcomes).toEqual(['0 timeout']);
    await door.engines[0].closed(1);
    await settled(door);
  });

  it('that is not set lets a request take a day', async () => {
    const door = await opened([silent], { policy: { timeouts: noLimits } });
    const { got } = open(door, { model: 'm', stream: true });
    await until(() => door.engines[0].requests.length === 1);
    door.clock.advance(24 * 3_600_000);
    respond(door.engines[0].sockets[0], 200, 'late');
    expect((await got).text).toBe('late');
  });

  it('for the first byte moves a request to another engine where the policy says so, and counts anew', async () => {
    const door = await opened([silent, silent, ok], {
      policy: { timeouts: { ...noLimits, firstByte: 1000 }, retries: { attempts: 2, on: ['Timeout'], budget } },
    });
    const { got } = open(door, { model: 'm', stream: true });
    for (const engine of [0, 1]) {
      await until(() => door.engines[engine].requests.length === 1);
      door.clock.advance(1100);
    }
    expect((await got).status).toBe(200);
    expect(door.outcomes).toEqual(['0 timeout', '1 timeout', '2 ok']);
    await settled(door);
  });

  it('for the whole exchange sends no request to another engine', async () => {
    const door = await opened([silent, ok], {
      policy: { timeouts: { ...noLimits, nonStreaming: 1000 }, retries: { attempts: 2, on: ['Timeout'], budget } },
    });
    const { got } = open(door);
    await until(() => door.engines[0].requests.length === 1);
    // Not a moment longer: a further try would have the time to be answered.
    door.clock.advance(1000);
    expect((await got).status).toBe(504);
    expect(tries(door)).toEqual([1, 0]);
    await settled(door);
  });

  it('for the whole exchange is not stretched by further engines', async () => {
    const door = await opened([silent, silent], {
      policy: { timeouts: { ...noLimits, firstByte: 1000, request: 1500 }, retries: { attempts: 2, on: ['Timeout'], budget } },
    }); // prettier-ignore
    const { got } = open(door, { model: 'm', stream: true });
    await until(() => door.engines[0].requests.length === 1);
    door.clock.advance(1100);
    await until(() => door.engines[1].requests.length === 1);
    door.clock.advance(500);
    expect((await got).status).toBe(504);
    await settled(door);
  });

  it('between two events ends a stream with an error event and without its end', async () => {
    const door = await opened([(socket) => void socket.write(streamHead + chunk('data: a\n\n'))], {
      policy: { timeouts: { ...noLimits, streamIdle: 2000 } },
    });
    const { got, response } = open(door, { model: 'm', stream: true });
    await response;
    for (let i = 0; i < 3; i++) {
      door.clock.advance(1500);
      door.engines[0].sockets[0].write(chunk(`data: ${i}\n\n`));
      await passed(door);
    }
    expect(door.finished).toEqual([]);
    door.clock.advance(2200);
    const { text, cut } = await got;
    expect(text).toMatch(/^data: a\n\ndata: 0\n\ndata: 1\n\ndata: 2\n\ndata: \{"error":.*"upstream_timeout".*\}\n\n$/);
    expect(cut).toBe(true);
    expect(door.finished).toMatchObject([{ status: 200, broken: true }]);
    await settled(door);
  });
});

/** Until what has been written to the router by now has gone through it. */
async function passed(door: Door): Promise<void> {
  // A request that goes the same way takes at least as many turns of the one event loop.
  await ask(door, null, { method: 'GET', path: '/v1/models' });
  await ask(door, null, { method: 'GET', path: '/v1/models' });
}

describe('a stream', () => {
  it('is passed on as it comes, ended as the engine ends it', async () => {
    const door = await opened([events('a', 'b', '[DONE]')]);
    const got = await ask(door, { model: 'm', stream: true });
    expect(got).toMatchObject({ status: 200, text: 'data: a\n\ndata: b\n\ndata: [DONE]\n\n', cut: false });
    expect(got.headers['content-type']).toBe('text/event-stream');
    await settled(door);
  });

  it('shows its first event while the engine is at work on the next', async () => {
    const door = await opened([(socket) => void socket.write(streamHead + chunk('data: a\n\n'))]);
    const { response, got } = open(door, { model: 'm', stream: true });
    const answer = await response;
    let text = '';
    answer.on('data', (piece: string) => (text += piece));
    await until(() => text === 'data: a\n\n');
    expect(door.states.inFlight[0]).toBe(1);
    expect(door.states.ownWaiting[0]).toBe(0);
    door.engines[0].sockets[0].write(lastChunk);
    expect((await got).cut).toBe(false);
    await settled(door);
  });

  it('keeps a last event without its empty line where the engine ends well', async () => {
    const door = await opened([(socket) => void socket.write(streamHead + chunk('data: a\n\ndata: b') + lastChunk)]);
    expect(await ask(door, { model: 'm', stream: true })).toMatchObject({ text: 'data: a\n\ndata: b', cut: false });
  });

  const paths: [string, RegExp][] = [
    [
      '/v1/chat/completions',
      /^data: a\n\ndata: \{"error":\{.*"type":"upstream_error","code":"upstream_reset".*\}\n\n$/,
    ],
    ['/v1/responses', /^data: a\n\nevent: error\ndata: \{"error":\{.*"code":"upstream_reset".*\}\n\n$/],
  ];
  it.each(paths)(
    'of %s whose engine dies ends with an error event that stands alone, and is cut',
    async (path, wanted) => {
      const dies: Answerer = (socket) => {
        socket.write(streamHead + chunk('data: a\n\n') + chunk('data: half of an ev'));
        setImmediate(() => socket.destroy());
      };
      const door = await opened([dies, ok], retries(all));
      const got = await ask(door, { model: 'm', stream: true }, { path });
      expect(got.text).toMatch(wanted);
      expect(got.cut).toBe(true);
      expect(door.outcomes).toEqual(['0 reset']);
      expect(tries(door)).toEqual([1, 0]);
      expect(door.finished).toMatchObject([{ status: 200, broken: true }]);
      await settled(door);
    },
  );

  it('of which no whole event has come is retried', async () => {
    const dies: Answerer = (socket) => {
      socket.write(streamHead + chunk('data: half of an ev'));
      setImmediate(() => socket.destroy());
    };
    const door = await opened([dies, events('b')], retries(all));
    expect(await ask(door, { model: 'm', stream: true })).toMatchObject({ text: 'data: b\n\n', cut: false });
    await settled(door);
  });

  it('stops the engine where the client leaves', async () => {
    const door = await opened([(socket) => void socket.write(streamHead + chunk('data: a\n\n'))]);
    const { request, response } = open(door, { model: 'm', stream: true });
    await response;
    request.destroy();
    await door.engines[0].closed(1);
    expect(door.finished).toMatchObject([{ status: 499, broken: true }]);
    expect(door.outcomes).toEqual([]);
    await settled(door);
  });

  it('holds the engine back where the client does not read, and goes on when it does', async () => {
    const piece = `data: ${'x'.repeat(60_000)}\n\n`;
    const count = 1000;
    let written = 0;
    let whole = false;
    const floods: Answerer = (socket) => {
      socket.write(streamHead);
      const go = (): void => {
        while (written < count) {
          written += 1;
          if (!socket.write(chunk(piece))) {
            socket.once('drain', go);
            return;
          }
        }
        if (!whole) socket.write(lastChunk);
        whole = true;
      };
      go();
    };
    const door = await opened([floods], { policy: { timeouts: { ...noLimits, streamIdle: 10_000 } } });
    const { response, got } = open(door, { model: 'm', stream: true });
    const answer = await response;
    answer.pause();
    let before = -1;
    while (before !== written) {
      before = written;
      for (let i = 0; i < 50; i++) await passed(door);
    }
    expect(written).toBeLessThan(count);
    answer.resume();
    const { text, cut } = await got;
    expect(text).toHaveLength(count * piece.length);
    expect(cut).toBe(false);
    await settled(door);
  });

  it('whose client does not read is not held against the engine when its time is over', async () => {
    const piece = `data: ${'x'.repeat(60_000)}\n\n`;
    const floods: Answerer = (socket) => {
      socket.write(streamHead);
      for (let i = 0; i < 400; i++) socket.write(chunk(piece));
    };
    const door = await opened([floods], { policy: { timeouts: { ...noLimits, streamIdle: 2000 } } });
    const { response } = open(door, { model: 'm', stream: true });
    (await response).pause();
    for (let i = 0; i < 100; i++) await passed(door);
    door.clock.advance(2200);
    expect(door.finished).toMatchObject([{ broken: true }]);
    expect(door.outcomes).toEqual([]);
    // The last event has no taker: the connection goes all the same.
    door.clock.advance(6000);
    expect(books(door)).toEqual(emptyBooks);
  });
});

describe('a whole answer', () => {
  it('that breaks in the middle is cut, with no end that looks like one', async () => {
    const dies: Answerer = (socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"half":');
      setImmediate(() => socket.destroy());
    };
    const door = await opened([dies, ok], retries(all));
    const got = await ask(door);
    expect(got).toMatchObject({ status: 200, text: '{"half":', cut: true });
    expect(tries(door)).toEqual([1, 0]);
    await settled(door);
  });

  it('stops the engine where the client leaves before it', async () => {
    const door = await opened([silent]);
    const { request } = open(door);
    await until(() => door.engines[0].requests.length === 1);
    expect(books(door)).toMatchObject({ inFlight: 1, ownWaiting: 1, active: 1 });
    request.destroy();
    await door.engines[0].closed(1);
    expect(door.finished).toMatchObject([{ status: 499, timeToFirstToken: -1 }]);
    expect(door.outcomes).toEqual([]);
    await settled(door);
  });
});

describe('a router that stops', () => {
  it('gives every request a last word', async () => {
    const begun: Answerer = (socket) => void socket.write(streamHead + chunk('data: a\n\n'));
    const streaming = await opened([begun]);
    const stream = open(streaming, { model: 'm', stream: true });
    await stream.response;
    streaming.frontDoor.cutAll();
    const { text, cut } = await stream.got;
    expect(text).toMatch(/^data: a\n\ndata: \{"error":.*\}\n\n$/);
    expect(cut).toBe(true);
    await settled(streaming);

    const waiting = await opened([silent]);
    const { got } = open(waiting);
    await until(() => waiting.engines[0].requests.length === 1);
    waiting.frontDoor.cutAll();
    const answer = await got;
    expect(answer.status).toBe(503);
    expect(errorOf(answer).code).toBe('overloaded');
    await settled(waiting);
  });
});

describe('the books', () => {
  /** What an engine may do with one request. */
  const behaviours: Record<string, Answerer> = {
    answers: ok,
    streams: events('a', '[DONE]'),
    fails: json(500, {}),
    refuses: unavailable,
    resets: reset,
    dies: (socket) => {
      socket.write(streamHead + chunk('data: a\n\n') + chunk('data: b'));
      setImmediate(() => socket.destroy());
    },
    babbles: (socket) => void socket.end('hello\r\n\r\n'),
    sleeps: silent,
    stalls: (socket) => void socket.write(streamHead + chunk('data: a\n\n')),
  };
  const kind = fc.constantFrom(...Object.keys(behaviours));
  const step = fc.record({
    engines: fc.array(kind, { minLength: 3, maxLength: 3 }),
    stream: fc.boolean(),
    client: fc.constantFrom('stays', 'stays', 'leaves at once', 'leaves at the head', 'sends nonsense'),
  });

  it('are at zero after any sequence of failures', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
        const script: string[][] = [[], [], []];
        const engine =
          (index: number): Answerer =>
          (socket, request, count) =>
            behaviours[script[index].shift() ?? 'answers'](socket, request, count);
        const tracer = new FakeTracer();
        const trails = new Trails({ tracer, accessLog: null, now: () => 0 });
        const door = await openDoor([engine(0), engine(1), engine(2)], {
          door: { trails },
          policy: {
            timeouts: { connect: 1000, firstByte: 1000, streamIdle: 1000, nonStreaming: 2000, request: 5000 },
            retries: { attempts: 2, on: all, budget },
          },
        });
        const asked = steps.map(async ({ engines, stream, client }) => {
          engines.forEach((name, i) => script[i].push(name));
          const body = client === 'sends nonsense' ? '{' : { model: 'm', stream, prompt: 'x'.repeat(1000) };
          const { request, response, got } = open(door, body);
          if (client === 'leaves at once') request.destroy();
          if (client === 'leaves at the head') void response.then(() => request.destroy(), () => undefined); // prettier-ignore
          return got.then(() => undefined, () => undefined); // prettier-ignore
        });
        let left = asked.length;
        for (const one of asked) void one.then(() => (left -= 1));
        while (left > 0 || door.frontDoor.inFlight > 0 || door.frontDoor.bodies.held > 0) {
          for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
          door.clock.advance(100);
        }
        door.clock.advance(6000);
        expect(books(door)).toEqual(emptyBooks);
        expect(door.logged.filter((line) => line.includes('"level":"error"'))).toEqual([]);
        expect(tracer.spans.filter(({ ends }) => ends !== 1)).toEqual([]);
        await door.close();
      }),
      { numRuns: 40 },
    );
  });
});

describe('an answer whose model name must be changed', () => {
  it('is not held beyond a limit', async () => {
    const piece = Buffer.alloc(1024 * 1024, ' ');
    const large: Answerer = (socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n');
      for (let i = 0; i < 66; i++) socket.write(Buffer.concat([Buffer.from('100000\r\n'), piece, Buffer.from('\r\n')]));
    };
    const door = await opened([large], { backend: { rewriteModel: 'other' }, group: { models: ['other'] } });
    const got = await ask(door);
    expect(got.status).toBe(502);
    expect(errorOf(got)).toMatchObject({ code: 'upstream_unreachable' });
    await settled(door);
  });
});

describe('an endpoint address', () => {
  it('that names no engine is a connect failure like any other', async () => {
    const door = await opened([ok], retries(all));
    const gone = group({ endpoints: [endpoint(0, { address: nobody })] });
    route(door, [backend({ group: gone })]);
    expect(errorOf(await ask(door)).code).toBe('upstream_unreachable');
    await settled(door);
  });
});
