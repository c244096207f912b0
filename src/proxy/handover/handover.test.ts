import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeTracer } from '../../observability/tracing/tracer.fixture.ts';
import { Trails } from '../../observability/tracing/trail.ts';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import type { RetryCause } from '../../router/policy.ts';
import { Flag } from '../../router/states.ts';
import {
  ask, books, chunk, emptyBooks, errorOf, events, json, lastChunk, open, reset, silent, streamHead, until, type Door, type DoorOptions,
} from '../door.fixture.ts'; // prettier-ignore
import { bodiesOf, decodes, openPairDoor, params, prefills, type PairDoorOptions, type PairEngines } from './pair-door.fixture.ts'; // prettier-ignore
import type { UpstreamClient } from '../upstream/client.ts';
import type { Answerer } from '../upstream/engine.fixture.ts';
import { SocketClient } from '../upstream/socket-client.ts';

let doors: Door[] = [];

async function opened(groups: PairEngines | readonly PairEngines[], options?: PairDoorOptions): Promise<Door> {
  const door = await openPairDoor('prefills' in groups ? [groups] : groups, options);
  doors.push(door);
  return door;
}

afterEach(async () => {
  for (const door of doors) await door.close();
  doors = [];
});

const nobody = '127.0.0.1:1';
const computes = prefills();
const all: readonly RetryCause[] = ['ConnectFailure', 'Reset', 'Unavailable', 'Timeout'];
const budget = { percent: 100, minPerSecond: 100 };
const retries = (on: readonly RetryCause[] = all, attempts = 2, limits = budget): DoorOptions => ({
  policy: { retries: { attempts, on, budget: limits } },
});
const noLimits = { connect: 1000, firstByte: 0, streamIdle: 0, nonStreaming: 0, request: 0 };

/** Lets all time-outs pass, and expects that nothing is held. */
async function settled(door: Door): Promise<void> {
  await until(() => door.started === door.finished.length);
  door.clock.advance(6000);
  expect(books(door)).toEqual(emptyBooks);
}

/** What prefiller 0 is told with the next request, which is sent under another id. */
async function toldNext(door: Door): Promise<string[]> {
  await ask(door, { model: 'm' }, { headers: { 'x-request-id': 'next' } });
  const body = bodiesOf(door, 0).at(-1) ?? '{}';
  return (JSON.parse(body) as { kv_transfer_params: { aborted_request?: string[] } }).kv_transfer_params.aborted_request ?? []; // prettier-ignore
}

/** Answers each request in its turn, the last one for ever. */
const turns =
  (...answers: readonly Answerer[]): Answerer =>
  (socket, request, count) =>
    answers[Math.min(count, answers.length) - 1](socket, request, count);

/** A stream whose pieces are written one after the other. */
const inPieces =
  (...texts: readonly string[]): Answerer =>
  (socket) => {
    const [head, ...rest] = [streamHead, ...texts.map((text) => chunk(text)), lastChunk];
    socket.write(head, function next() {
      const piece = rest.shift();
      if (piece !== undefined) setImmediate(() => socket.write(piece, next));
    });
  };

const first = { headers: { 'x-request-id': 'first' } };

describe('a hand-over', () => {
  it('asks the prefiller for one token, and the decoder for the rest with what the prefiller has said', async () => {
    const door = await opened({ prefills: [computes], decodes: [events('a', '[DONE]')] });
    const body = '{"model":"m","stream":true, "max_tokens":100,"seed":9223372036854775807,"temperature":1.0}';
    const got = await ask(door, body, first);
    expect(got).toMatchObject({ status: 200, text: 'data: a\n\ndata: [DONE]\n\n', cut: false });
    expect(got.headers['x-request-id']).toBe('first');
    const [prefill] = bodiesOf(door, 0);
    expect(JSON.parse(prefill)).toMatchObject({
      model: 'm',
      stream: false,
      max_tokens: 1,
      kv_transfer_params: { do_remote_decode: true },
    });
    expect(prefill).toContain('"seed":9223372036854775807,"temperature":1.0}');
    expect(bodiesOf(door, 1)).toEqual([`{"kv_transfer_params":${params},${body.slice(1)}`]);
    for (const { requests } of door.engines) {
      expect(requests[0]).toMatch(/^POST \/v1\/chat\/completions HTTP/);
      expect(requests[0]).toContain('x-request-id: first\r\n');
    }
    expect(door.outcomes).toEqual(['0 ok', '1 ok']);
    expect(door.stages).toEqual(['prefill ok', 'decode ok']);
    expect(door.abandoned).toBe(0);
    expect(door.finished).toMatchObject([{ status: 200, broken: false }]);
    await settled(door);
    expect(await toldNext(door)).toEqual([]);
  });

  it('gives the prefiller back once it has answered, and the decoder at the end', async () => {
    const door = await opened({ prefills: [silent], decodes: [silent] });
    const { got } = open(door);
    await until(() => door.engines[0].requests.length === 1);
    expect([...door.states.inFlight.subarray(0, 2)]).toEqual([1, 1]);
    computes(door.engines[0].sockets[0], '', 1);
    await until(() => door.engines[1].requests.length === 1);
    expect([...door.states.inFlight.subarray(0, 2)]).toEqual([0, 1]);
    expect(door.engines[0].sockets[0].destroyed).toBe(false);
    decodes(door.engines[1].sockets[0], '', 1);
    expect((await got).status).toBe(200);
    await settled(door);
  });

  it.each(['null', '{}'])('goes on without parameters where the prefiller gives none (%s)', async (kv) => {
    const door = await opened({ prefills: [kv === '{}' ? json(200, {}) : prefills(kv)], decodes: [decodes] });
    expect((await ask(door, '{"model":"m"}')).status).toBe(200);
    expect(bodiesOf(door, 1)).toEqual(['{"model":"m"}']);
    await settled(door);
  });

  it('names the model to both as they know it, and to the client as it was asked for', async () => {
    const door = await opened(
      { prefills: [computes], decodes: [json(200, { model: 'other', id: 'x' })] },
      { backend: { rewriteModel: 'other' }, group: { models: ['other'] } },
    );
    expect(JSON.parse((await ask(door)).text)).toEqual({ model: 'm', id: 'x' });
    for (const engine of [0, 1]) expect(JSON.parse(bodiesOf(door, engine)[0])).toMatchObject({ model: 'other' });
  });

  it('carries the key of the engines to both, and no header that steers', async () => {
    const connection = { scheme: 'http' as const, apiKey: 'k', forwardAuthorization: false };
    const door = await opened({ prefills: [computes], decodes: [decodes] }, { group: { connection } });
    await ask(door, { model: 'm' }, { headers: { authorization: 'Bearer mine', 'x-openfuyao-prefill-pod-address-port': '10.0.0.1:1' } }); // prettier-ignore
    for (const { requests } of door.engines) {
      expect(requests[0]).toContain('authorization: Bearer k\r\n');
      expect(requests[0]).not.toMatch(/mine|openfuyao/);
    }
  });

  it('tells the client who took part, if it may know', async () => {
    const door = await opened({ prefills: [computes], decodes: [decodes] }, { policy: { debugHeaders: true } });
    const { headers } = await ask(door, { model: 'm' }, { headers: { 'x-hermes-debug': '1' } });
    expect(headers).toMatchObject({ 'x-hermes-endpoint': 'e1', 'x-hermes-prefill-endpoint': 'e0' });
    expect(headers).not.toHaveProperty('x-hermes-decode-endpoint');
  });

  const alone: [string, string, object][] = [
    ['embeddings', '/v1/embeddings', { model: 'm', input: 'x' }],
    ['responses', '/v1/responses', { model: 'm', input: 'x' }],
    ['several prompts in one body', '/v1/completions', { model: 'm', prompt: ['a', 'b'] }],
    ['several answers', '/v1/chat/completions', { model: 'm', n: 2 }],
    ['the best of several answers', '/v1/completions', { model: 'm', prompt: 'a', best_of: 2 }],
    ['several prompts as tokens', '/v1/completions', { model: 'm', prompt: [[1], [2]] }],
  ];
  it.each(alone)('is not made for %s: a decoder does all', async (_name, path, body) => {
    const door = await opened({ prefills: [computes], decodes: [decodes] }, { policy: { debugHeaders: true } });
    const { status, headers } = await ask(door, body, { path, headers: { 'x-hermes-debug': '1' } });
    expect(status).toBe(200);
    expect(bodiesOf(door, 0)).toEqual([]);
    expect(bodiesOf(door, 1)).toEqual([JSON.stringify(body)]);
    expect(headers).not.toHaveProperty('x-hermes-prefill-endpoint');
    expect(door.stages).toEqual([]);
    await settled(door);
  });

  const paired: [string, object][] = [
    ['one prompt in a list', { model: 'm', prompt: ['a'] }],
    ['one answer', { model: 'm', prompt: 'a', n: 1, best_of: 1 }],
    ['one prompt as tokens', { model: 'm', prompt: [1, 2, 3] }],
  ];
  it.each(paired)('is made for %s', async (_name, body) => {
    const door = await opened({ prefills: [computes], decodes: [decodes] });
    await ask(door, body, { path: '/v1/completions' });
    expect(door.stages).toEqual(['prefill ok', 'decode ok']);
  });

  it('is left to the leader where there is one, who is told of the pair', async () => {
    const door = await opened(
      { prefills: [silent], decodes: [silent], leaders: [decodes] },
      { by: 'Leader', policy: { debugHeaders: true } },
    );
    const { status, headers } = await ask(door, '{"model":"m"}', { headers: { 'x-hermes-debug': '1' } });
    expect(status).toBe(200);
    const [prefill, decode, leader] = door.engines;
    expect([prefill, decode].map(({ requests }) => requests.length)).toEqual([0, 0]);
    expect(leader.requests[0]).toContain(`x-openfuyao-prefill-pod-address-port: 127.0.0.1:${prefill.target.port}\r\n`);
    expect(leader.requests[0]).toContain(`x-openfuyao-decode-pod-address-port: 127.0.0.1:${decode.target.port}\r\n`);
    expect(bodiesOf(door, 2)).toEqual(['{"model":"m"}']);
    expect(headers).toMatchObject({
      'x-hermes-endpoint': 'e2',
      'x-hermes-prefill-endpoint': 'e0',
      'x-hermes-decode-endpoint': 'e1',
    });
    await settled(door);
  });
});

describe('a failure of a hand-over', () => {
  interface Case {
    readonly engines: PairEngines;
    readonly options?: DoorOptions;
    readonly status: number;
    readonly code?: string;
    readonly outcomes: readonly string[];
    readonly stages: readonly string[];
    readonly retried: number;
    /** Whether the blocks of a try were left unread. */
    readonly abandoned: number;
  }
  const fails = json(500, { said: 'by engine' });
  const refused = json(400, { said: 'by engine' });
  const unavailable = json(503, { said: 'by engine' });
  const babbles: Answerer = (socket) => void socket.end('hello\r\n\r\n');
  const half: Answerer = (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"half":');
    setImmediate(() => socket.destroy());
  };
  const large: Answerer = (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n');
    socket.write(Buffer.alloc(1_100_000, ' '));
  };
  const two = { prefills: [computes, computes], decodes: [decodes, decodes] };
  const cases: [string, Case][] = [
    ['where no prefiller is there is retried on another pair', { engines: { ...two, prefills: [nobody, computes] }, status: 200, outcomes: ['0 connect_failure', '1 ok', '2 ok'], stages: ['prefill connect_failure', 'prefill ok', 'decode ok'], retried: 1, abandoned: 0 }],
    ['where the only prefiller is not there is told', { engines: { prefills: [nobody], decodes: [decodes] }, status: 502, code: 'upstream_unreachable', outcomes: ['0 connect_failure'], stages: ['prefill connect_failure'], retried: 0, abandoned: 0 }],
    ['where the prefiller breaks before its answer is retried with another, and its decoder', { engines: { ...two, prefills: [reset, computes] }, status: 200, outcomes: ['0 reset', '1 ok', '2 ok'], stages: ['prefill reset', 'prefill ok', 'decode ok'], retried: 1, abandoned: 1 }],
    ['where the prefiller breaks in its answer is retried', { engines: { ...two, prefills: [half, computes] }, status: 200, outcomes: ['0 reset', '1 ok', '2 ok'], stages: ['prefill reset', 'prefill ok', 'decode ok'], retried: 1, abandoned: 1 }],
    ['where the prefiller speaks no HTTP is retried', { engines: { ...two, prefills: [babbles, computes] }, status: 200, outcomes: ['0 reset', '1 ok', '2 ok'], stages: ['prefill reset', 'prefill ok', 'decode ok'], retried: 1, abandoned: 1 }],
    ['where two prefillers break meets no third', { engines: { prefills: [reset, reset, computes], decodes: [decodes] }, options: retries(all, 5), status: 502, code: 'upstream_unreachable', outcomes: ['0 reset', '1 reset'], stages: ['prefill reset', 'prefill reset'], retried: 1, abandoned: 2 }],
    ['where a prefiller and a decoder break meets no third', { engines: { ...two, prefills: [reset, computes], decodes: [reset, decodes] }, options: retries(all, 5), status: 502, code: 'upstream_unreachable', outcomes: ['0 reset', '1 ok', '2 reset'], stages: ['prefill reset', 'prefill ok', 'decode reset'], retried: 1, abandoned: 2 }],
    ['where the prefiller breaks is told where the policy does not name it', { engines: { ...two, prefills: [reset, computes] }, options: retries(['ConnectFailure']), status: 502, code: 'upstream_unreachable', outcomes: ['0 reset'], stages: ['prefill reset'], retried: 0, abandoned: 1 }],
    ["is the prefiller's own answer where it refuses", { engines: { ...two, prefills: [refused, computes] }, status: 400, outcomes: ['0 ok'], stages: ['prefill refused'], retried: 0, abandoned: 0 }],
    ["is the prefiller's own answer where it fails", { engines: { ...two, prefills: [json(500, { said: 'by engine' }), computes] }, status: 500, outcomes: ['0 server_error'], stages: ['prefill refused'], retried: 0, abandoned: 0 }],
    ['where the prefiller says 503 is retried where the policy names it', { engines: { ...two, prefills: [unavailable, computes] }, status: 200, outcomes: ['0 server_error', '1 ok', '2 ok'], stages: ['prefill refused', 'prefill ok', 'decode ok'], retried: 1, abandoned: 0 }],
    ["is the prefiller's own 503 where the policy does not", { engines: { ...two, prefills: [unavailable, computes] }, options: retries(['ConnectFailure', 'Reset']), status: 503, outcomes: ['0 server_error'], stages: ['prefill refused'], retried: 0, abandoned: 0 }],
    ['where the answer of the prefiller is no JSON is told', { engines: { ...two, prefills: [(socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi'), computes] }, status: 502, code: 'upstream_unreachable', outcomes: ['0 server_error'], stages: ['prefill unusable'], retried: 0, abandoned: 1 }],
    ['where the answer of the prefiller is too large is told', { engines: { ...two, prefills: [large, computes] }, status: 502, code: 'upstream_unreachable', outcomes: ['0 server_error'], stages: ['prefill unusable'], retried: 0, abandoned: 1 }],
    ['where no decoder is there goes to another for the same blocks', { engines: { ...two, decodes: [nobody, decodes] }, status: 200, outcomes: ['0 ok', '2 connect_failure', '3 ok'], stages: ['prefill ok', 'decode connect_failure', 'decode ok'], retried: 1, abandoned: 0 }],
    ['where no decoder is there needs no budget', { engines: { ...two, decodes: [nobody, decodes] }, options: retries(all, 2, { percent: 0, minPerSecond: 0 }), status: 200, outcomes: ['0 ok', '2 connect_failure', '3 ok'], stages: ['prefill ok', 'decode connect_failure', 'decode ok'], retried: 1, abandoned: 0 }],
    ['where no decoder at all is there is told after so many tries', { engines: { prefills: [computes], decodes: [nobody, nobody, nobody, decodes] }, status: 502, code: 'upstream_unreachable', outcomes: ['0 ok', '1 connect_failure', '2 connect_failure', '3 connect_failure'], stages: ['prefill ok', 'decode connect_failure', 'decode connect_failure', 'decode connect_failure'], retried: 2, abandoned: 1 }],
    ['where the only decoder is not there is told', { engines: { prefills: [computes], decodes: [nobody] }, status: 502, code: 'upstream_unreachable', outcomes: ['0 ok', '1 connect_failure'], stages: ['prefill ok', 'decode connect_failure'], retried: 0, abandoned: 1 }],
    ['where the decoder breaks is retried whole, once', { engines: { ...two, decodes: [reset, decodes] }, status: 200, outcomes: ['0 ok', '2 reset', '0 ok', '3 ok'], stages: ['prefill ok', 'decode reset', 'prefill ok', 'decode ok'], retried: 1, abandoned: 1 }],
    ['where two decoders break meets no third', { engines: { prefills: [computes], decodes: [reset, reset, decodes] }, options: retries(all, 5), status: 502, code: 'upstream_unreachable', outcomes: ['0 ok', '1 reset', '0 ok', '2 reset'], stages: ['prefill ok', 'decode reset', 'prefill ok', 'decode reset'], retried: 1, abandoned: 2 }],
    ['where the decoder breaks needs the budget', { engines: { ...two, decodes: [reset, decodes] }, options: retries(all, 2, { percent: 0, minPerSecond: 0 }), status: 502, code: 'upstream_unreachable', outcomes: ['0 ok', '2 reset'], stages: ['prefill ok', 'decode reset'], retried: 0, abandoned: 1 }],
    ["is the decoder's own answer where it refuses, and the prefiller is told", { engines: { ...two, decodes: [refused, decodes] }, status: 400, outcomes: ['0 ok', '2 ok'], stages: ['prefill ok', 'decode refused'], retried: 0, abandoned: 1 }],
    ["is the decoder's own answer where it fails and there is no other pair", { engines: { prefills: [computes], decodes: [fails] }, status: 500, outcomes: ['0 ok', '1 server_error'], stages: ['prefill ok', 'decode refused'], retried: 0, abandoned: 1 }],
    ["is the decoder's own answer where it fails and the policy retries no break", { engines: { ...two, decodes: [fails, decodes] }, options: retries(['ConnectFailure', 'Unavailable', 'Timeout']), status: 500, outcomes: ['0 ok', '2 server_error'], stages: ['prefill ok', 'decode refused'], retried: 0, abandoned: 1 }],
    ['where the decoder cannot read is retried on a pair without both', { engines: { ...two, decodes: [fails, decodes] }, status: 200, outcomes: ['0 ok', '2 server_error', '1 ok', '3 ok'], stages: ['prefill ok', 'decode refused', 'prefill ok', 'decode ok'], retried: 1, abandoned: 1 }],
    ['where the decoder cannot read is retried with another prefiller where there is no other decoder', { engines: { prefills: [computes, computes], decodes: [turns(fails, decodes)] }, status: 200, outcomes: ['0 ok', '2 server_error', '1 ok', '2 ok'], stages: ['prefill ok', 'decode refused', 'prefill ok', 'decode ok'], retried: 1, abandoned: 1 }],
    ['where no decoder can read is told after one retry', { engines: { ...two, decodes: [fails, fails] }, options: retries(all, 5), status: 500, outcomes: ['0 ok', '2 server_error', '1 ok', '3 server_error'], stages: ['prefill ok', 'decode refused', 'prefill ok', 'decode refused'], retried: 1, abandoned: 2 }],
    ['where the decoder says 503 is retried whole where the policy names it', { engines: { ...two, decodes: [unavailable, decodes] }, status: 200, outcomes: ['0 ok', '2 server_error', '0 ok', '3 ok'], stages: ['prefill ok', 'decode refused', 'prefill ok', 'decode ok'], retried: 1, abandoned: 1 }],
    ['is within the attempts of both stages together', { engines: { prefills: [nobody, computes], decodes: [nobody, nobody, decodes] }, options: retries(all, 2), status: 502, code: 'upstream_unreachable', outcomes: ['0 connect_failure', '1 ok', '2 connect_failure', '3 connect_failure'], stages: ['prefill connect_failure', 'prefill ok', 'decode connect_failure', 'decode connect_failure'], retried: 2, abandoned: 1 }],
  ]; // prettier-ignore
  it.each(cases)('%s', async (_name, wanted) => {
    const door = await opened(wanted.engines, wanted.options ?? retries());
    const got = await ask(door, { model: 'm', prompt: 'x' }, first);
    expect(got.status).toBe(wanted.status);
    if (wanted.code !== undefined) expect(errorOf(got)).toMatchObject({ code: wanted.code, type: 'upstream_error' });
    else if (wanted.status >= 400) expect(got.text).toContain('by engine');
    expect(door.outcomes).toEqual(wanted.outcomes);
    expect(door.stages).toEqual(wanted.stages);
    expect(door.retried).toBe(wanted.retried);
    expect(door.abandoned).toBe(wanted.abandoned);
    expect(door.finished).toHaveLength(1);
    await settled(door);
  });

  it('where the group has no other decoder is retried on another group, and the prefiller is told', async () => {
    const door = await opened(
      [
        { prefills: [computes], decodes: [nobody] },
        { prefills: [computes], decodes: [decodes] },
      ],
      retries(),
    );
    expect((await ask(door, { model: 'm' }, first)).status).toBe(200);
    expect(door.outcomes).toEqual(['0 ok', '1 connect_failure', '2 ok', '3 ok']);
    expect(door.abandoned).toBe(1);
    await settled(door);
  });

  it('sends the same blocks to the other decoder, and the prompt to no prefiller again', async () => {
    const door = await opened({ prefills: [computes], decodes: [nobody, decodes] }, retries());
    await ask(door, '{"model":"m"}');
    expect(bodiesOf(door, 0)).toHaveLength(1);
    expect(bodiesOf(door, 1)).toEqual([`{"kv_transfer_params":${params},"model":"m"}`]);
  });

  const broken = events('{"error":{"message":"said by engine","code":500}}', '[DONE]');

  it('in the first event of a stream is retried as if the stream had not begun', async () => {
    const door = await opened({ prefills: [computes, computes], decodes: [broken, events('a', '[DONE]')] }, retries());
    const got = await ask(door, { model: 'm', stream: true }, first);
    expect(got).toMatchObject({ status: 200, text: 'data: a\n\ndata: [DONE]\n\n', cut: false });
    expect(door.stages).toEqual(['prefill ok', 'decode refused', 'prefill ok', 'decode ok']);
    expect(door.abandoned).toBe(1);
    await settled(door);
  });

  const role = '{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}';
  const failed = '{"error":{"message":"said by engine","code":500}}';

  it.each<[string, Answerer]>([
    ['in one piece', events(role, failed, '[DONE]')],
    ['in pieces', inPieces(`data: ${role}\n\n`, `data: ${failed}\n\n`, 'data: [DONE]\n\n')],
  ])('behind the event that only says who speaks, %s, is retried likewise', async (_sentence, breaks) => {
    const door = await opened({ prefills: [computes, computes], decodes: [breaks, events('a', '[DONE]')] }, retries());
    const got = await ask(door, { model: 'm', stream: true }, first);
    expect(got).toMatchObject({ status: 200, text: 'data: a\n\ndata: [DONE]\n\n', cut: false });
    expect(door.abandoned).toBe(1);
    await settled(door);
  });

  it.each<[string, string[]]>([
    ['with an answer behind it', [role, 'a', '[DONE]']],
    ['with nothing behind it', [role]],
    ['behind another one', ['a', role, failed]],
  ])('is none in a stream that says who speaks, %s', async (_sentence, said) => {
    const door = await opened({ prefills: [computes], decodes: [inPieces(...said.map((one) => `data: ${one}\n\n`))] });
    const got = await ask(door, { model: 'm', stream: true }, first);
    expect(got).toMatchObject({ status: 200, text: said.map((one) => `data: ${one}\n\n`).join('') });
    expect(door.abandoned).toBe(0);
    await settled(door);
  });

  it('in the first event of a stream is passed on where there is no other pair, and the prefiller is told', async () => {
    const door = await opened({ prefills: [computes], decodes: [broken] }, retries());
    const got = await ask(door, { model: 'm', stream: true }, first);
    expect(got.text).toContain('said by engine');
    expect(door.abandoned).toBe(1);
    await settled(door);
  });

  it('sends no decoder for blocks that may be of another request by now', async () => {
    const door = await opened({ prefills: [computes], decodes: [nobody, decodes] }, retries());
    const { stages, clock } = door;
    const push = stages.push.bind(stages);
    stages.push = (...told) => {
      // Between the prefiller's answer and the failure to reach a decoder.
      if (told[0] === 'prefill ok') clock.advance(10_000);
      return push(...told);
    };
    expect((await ask(door, { model: 'm' }, first)).status).toBe(200);
    expect(door.outcomes).toEqual(['0 ok', '1 connect_failure', '0 ok', '2 ok']);
    expect(door.abandoned).toBe(1);
    await settled(door);
  });

  it('ends the call of a prefiller that says too much', async () => {
    const floods: Answerer = (socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
      const go = (): void => void (socket.destroyed || socket.write(chunk(' '.repeat(100_000)), go));
      go();
    };
    const door = await opened({ prefills: [floods], decodes: [decodes] });
    expect(errorOf(await ask(door)).message).toContain('larger than 1048576 bytes');
    await door.engines[0].closed(1);
    await settled(door);
  });

  it('tells the client what is wrong with the answer of a prefiller, and nothing of what it says', async () => {
    const door = await opened({ prefills: [prefills('"canary"')], decodes: [decodes] });
    const { message } = errorOf(await ask(door));
    expect(message).toBe("the prefill engine's answer cannot be used: its kv_transfer_params is neither an object nor null"); // prettier-ignore
    expect(door.logged.join()).not.toContain('canary');
  });

  it('in mid-stream is an error event, and nothing is left with the prefiller', async () => {
    const dies: Answerer = (socket) => {
      socket.write(streamHead + chunk('data: a\n\n') + chunk('data: half'));
      setImmediate(() => socket.destroy());
    };
    const door = await opened({ prefills: [computes], decodes: [turns(dies, decodes)] }, retries());
    const { text, cut } = await ask(door, { model: 'm', stream: true }, first);
    expect(text).toMatch(/^data: a\n\ndata: \{"error":.*"upstream_reset".*\}\n\n$/);
    expect(cut).toBe(true);
    expect(door.stages).toEqual(['prefill ok', 'decode reset']);
    await settled(door);
    expect(await toldNext(door)).toEqual([]);
  });
});

describe('the limits of time of a hand-over', () => {
  const limits = (timeouts: Partial<typeof noLimits>): NonNullable<DoorOptions['policy']> => ({
    timeouts: { ...noLimits, ...timeouts },
    retries: { attempts: 2, on: all, budget },
  });
  interface Case {
    readonly options: PairDoorOptions;
    readonly stream: boolean;
    readonly engines: PairEngines;
    /** The engine that is waited for, and the time that passes. */
    readonly waits: number;
    readonly after: number;
    readonly stages: readonly string[];
  }
  const stuck = { prefills: [silent], decodes: [decodes] };
  const slow = { prefills: [computes], decodes: [silent] };
  const cases: [string, Case][] = [
    ['prefill ends a stream', { options: { stages: { prefill: 2000 }, policy: limits({}) }, stream: true, engines: stuck, waits: 0, after: 2000, stages: ['prefill timeout'] }],
    ['prefill ends a whole answer, too', { options: { stages: { prefill: 2000 }, policy: limits({ nonStreaming: 9000 }) }, stream: false, engines: stuck, waits: 0, after: 2000, stages: ['prefill timeout'] }],
    ['prefill does not end the decoder', { options: { stages: { prefill: 2000 }, policy: limits({ nonStreaming: 9000 }) }, stream: false, engines: slow, waits: 1, after: 9000, stages: ['prefill ok', 'decode timeout'] }],
    ['decode ends a stream that does not begin', { options: { stages: { decode: 3000 }, policy: limits({}) }, stream: true, engines: slow, waits: 1, after: 3000, stages: ['prefill ok', 'decode timeout'] }],
    ['decode leaves a whole answer alone', { options: { stages: { decode: 3000 }, policy: limits({ request: 8000 }) }, stream: false, engines: slow, waits: 1, after: 8000, stages: ['prefill ok', 'decode timeout'] }],
    ['the first byte is within the policy’s limit, whatever the stages have', { options: { stages: { prefill: 9000, decode: 9000 }, policy: limits({ firstByte: 1000 }) }, stream: true, engines: slow, waits: 1, after: 1000, stages: ['prefill ok', 'decode timeout'] }],
    ['the request is within its own', { options: { stages: { prefill: 9000 }, policy: limits({ request: 1000 }) }, stream: true, engines: stuck, waits: 0, after: 1000, stages: ['prefill timeout'] }],
  ]; // prettier-ignore
  it.each(cases)('%s', async (_name, { options, stream, engines, waits, after, stages }) => {
    const door = await opened(engines, options);
    const { got } = open(door, { model: 'm', stream }, first);
    await until(() => door.engines[waits].requests.length === 1);
    door.clock.advance(after - 100);
    expect(door.finished).toEqual([]);
    door.clock.advance(200);
    expect(errorOf(await got)).toMatchObject({ code: 'upstream_timeout' });
    expect(door.stages).toEqual(stages);
    expect(door.outcomes.at(-1)).toBe(`${waits} timeout`);
    expect(door.abandoned).toBe(1);
    await door.engines[waits].closed(1);
    await settled(door);
  });

  const connects: [number, number, number][] = [
    [0, 0, 10_000],
    [30_000, 30_000, 10_000],
    [500, 500, 500],
  ];
  it.each(connects)('of %i ms for a connection are %i and %i: a decoder must not come late', async (connect, prefill, decode) => {
    const client = new SocketClient(new ManualClock());
    const given: number[] = [];
    const upstream: UpstreamClient = {
      dispatch: (target, request, handler) => {
        given.push(request.connectTimeout);
        return client.dispatch(target, request, handler);
      },
      retain: (targets) => client.retain(targets),
      close: () => client.close(),
    };
    const door = await opened({ prefills: [computes], decodes: [decodes] }, { door: { upstream }, policy: limits({ connect }) });
    expect((await ask(door)).status).toBe(200);
    expect(given).toEqual([prefill, decode]);
    await settled(door);
    upstream.close();
  }); // prettier-ignore

  it('move a request to another prefiller, and then to another decoder', async () => {
    const door = await opened(
      { prefills: [silent, computes], decodes: [silent, decodes] },
      { stages: { prefill: 1000, decode: 1000 }, policy: limits({}) },
    );
    const { got } = open(door, { model: 'm', stream: true });
    await until(() => door.engines[0].requests.length === 1);
    door.clock.advance(1100);
    await until(() => door.engines[2].requests.length === 1);
    door.clock.advance(1100);
    expect((await got).status).toBe(200);
    expect(door.outcomes).toEqual(['0 timeout', '1 ok', '2 timeout', '1 ok', '3 ok']);
    await settled(door);
  });
});

describe('a client that leaves', () => {
  it('while the prompt is computed stops the prefiller, which is told with its next request', async () => {
    const door = await opened({ prefills: [turns(silent, computes)], decodes: [decodes] });
    const { request } = open(door, { model: 'm' }, first);
    await until(() => door.engines[0].requests.length === 1);
    request.destroy();
    await door.engines[0].closed(1);
    expect(door.finished).toMatchObject([{ status: 499 }]);
    expect(door.stages).toEqual(['prefill client_left']);
    expect(door.outcomes).toEqual([]);
    expect(door.abandoned).toBe(1);
    await settled(door);
    expect(await toldNext(door)).toEqual(['first']);
    expect(door.noticed).toBe(1);
    expect(await toldNext(door)).toEqual([]);
  });

  it('before the first byte stops the decoder, and the prefiller is told', async () => {
    const door = await opened({ prefills: [computes], decodes: [turns(silent, decodes)] });
    const { request } = open(door, { model: 'm' }, first);
    await until(() => door.engines[1].requests.length === 1);
    request.destroy();
    await door.engines[1].closed(1);
    expect(door.stages).toEqual(['prefill ok', 'decode client_left']);
    expect(door.abandoned).toBe(1);
    await settled(door);
    expect(await toldNext(door)).toEqual(['first']);
  });

  it('after the first byte stops the decoder, and the prefiller has nothing left', async () => {
    const begun: Answerer = (socket) => void socket.write(streamHead + chunk('data: a\n\n'));
    const door = await opened({ prefills: [computes], decodes: [turns(begun, decodes)] });
    const { request, response } = open(door, { model: 'm', stream: true }, first);
    await response;
    request.destroy();
    await door.engines[1].closed(1);
    expect(door.abandoned).toBe(0);
    await settled(door);
    expect(await toldNext(door)).toEqual([]);
  });

  it('leaves nothing with a prefiller whose blocks travel by themselves', async () => {
    const door = await opened({ prefills: [prefills('null')], decodes: [turns(silent, decodes)] });
    const { request } = open(door, { model: 'm' }, first);
    await until(() => door.engines[1].requests.length === 1);
    request.destroy();
    await settled(door);
    expect(door.abandoned).toBe(0);
  });
});

describe('what a prefiller is owed', () => {
  it('is owed again where the call that said so came to nothing', async () => {
    const door = await opened({ prefills: [turns(silent, reset, computes)], decodes: [decodes] });
    const { request } = open(door, { model: 'm' }, first);
    await until(() => door.engines[0].requests.length === 1);
    request.destroy();
    await until(() => door.finished.length === 1);
    await ask(door, { model: 'm' }, { headers: { 'x-request-id': 'second' } });
    expect(door.noticed).toBe(0);
    expect(await toldNext(door)).toEqual(['first', 'second']);
    expect(door.noticed).toBe(2);
    expect(await toldNext(door)).toEqual([]);
    await settled(door);
  });

  it('waits while a request of the same id is under way', async () => {
    const door = await opened({ prefills: [turns(silent, silent, computes)], decodes: [decodes] });
    const left = open(door, { model: 'm' }, first);
    await until(() => door.engines[0].requests.length === 1);
    const stays = open(door, { model: 'm' }, first);
    await until(() => door.engines[0].requests.length === 2);
    left.request.destroy();
    await until(() => door.finished.length === 1);
    expect(await toldNext(door)).toEqual([]);
    computes(door.engines[0].sockets[1], '', 1);
    expect((await stays.got).status).toBe(200);
    expect(await toldNext(door)).toEqual(['first']);
    await settled(door);
  });
});

describe('a router that stops', () => {
  it('gives every request of either stage a last word', async () => {
    const door = await opened({ prefills: [turns(computes, silent)], decodes: [silent] });
    const decoding = open(door);
    await until(() => door.engines[1].requests.length === 1);
    const prefilling = open(door);
    await until(() => door.engines[0].requests.length === 2);
    door.frontDoor.cutAll();
    for (const { got } of [decoding, prefilling]) expect(errorOf(await got).code).toBe('overloaded');
    expect(door.stages.slice(1).sort()).toEqual(['decode stopped', 'prefill stopped']);
    await settled(door);
  });
});

describe('a request below the threshold', () => {
  it('goes to a decoder alone', async () => {
    const door = await opened({ prefills: [computes], decodes: [decodes] }, { disaggregateAbove: 1000 });
    expect((await ask(door, { model: 'm' })).status).toBe(200);
    expect(bodiesOf(door, 0)).toEqual([]);
    expect(door.stages).toEqual([]);
    await settled(door);
  });
});

describe('the books of hand-overs', () => {
  const behaviours: Record<string, Answerer> = {
    computes,
    answers: decodes,
    streams: events('a', '[DONE]'),
    refuses: json(400, {}),
    fails: json(500, {}),
    unavailable: json(503, {}),
    resets: reset,
    dies: (socket) => {
      socket.write(streamHead + chunk('data: a\n\n') + chunk('data: b'));
      setImmediate(() => socket.destroy());
    },
    babbles: (socket) => void socket.end('hello\r\n\r\n'),
    sleeps: silent,
    stalls: (socket) => void socket.write(streamHead + chunk('data: a\n\n')),
    'says garbage': prefills('[1'),
  };
  const kind = fc.constantFrom('computes', 'computes', 'answers', 'streams', ...Object.keys(behaviours));
  const step = fc.record({
    engines: fc.array(kind, { minLength: 4, maxLength: 4 }),
    stream: fc.boolean(),
    id: fc.constantFrom('one', 'two', 'three'),
    client: fc.constantFrom('stays', 'stays', 'leaves at once', 'leaves at the head', 'leaves later'),
  });

  it('are at zero after any sequence of failures, and only what was abandoned is owed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
        const script: string[][] = [[], [], [], []];
        const engine =
          (index: number): Answerer =>
          (socket, request, count) =>
            behaviours[script[index].shift() ?? (index < 2 ? 'computes' : 'answers')](socket, request, count);
        const tracer = new FakeTracer();
        const trails = new Trails({ tracer, accessLog: null, now: () => 0 });
        const door = await openPairDoor([{ prefills: [engine(0), engine(1)], decodes: [engine(2), engine(3)] }], {
          door: { trails },
          stages: { prefill: 800, decode: 700 },
          policy: {
            timeouts: { connect: 1000, firstByte: 1000, streamIdle: 1000, nonStreaming: 2000, request: 5000 },
            retries: { attempts: 3, on: all, budget },
          },
        });
        const asked = steps.map(async ({ engines, stream, client, id }) => {
          engines.forEach((name, i) => script[i].push(name));
          const { request, response, got } = open(door, { model: 'm', stream }, { headers: { 'x-request-id': id } });
          if (client === 'leaves at once') request.destroy();
          if (client === 'leaves at the head') void response.then(() => request.destroy(), () => undefined); // prettier-ignore
          if (client === 'leaves later') for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve)); // prettier-ignore
          if (client === 'leaves later') request.destroy();
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
        for (const rest of script) rest.length = 0;
        const owed = new Set<string>();
        for (const engine of [0, 1]) for (const id of await toldBy(door, engine)) owed.add(id);
        if (door.abandoned === 0) expect([...owed]).toEqual([]);
        if (door.abandoned > door.noticed) expect(owed.size).toBeGreaterThan(0);
        await door.close();
      }),
      { numRuns: 40 },
    );
  });

  /** What a prefiller is told with one more request to it. */
  async function toldBy(door: Door, engine: number): Promise<string[]> {
    door.states.set(1 - engine, Flag.draining, true);
    await ask(door, { model: 'm' }, { headers: { 'x-request-id': `probe${engine}` } });
    door.states.set(1 - engine, Flag.draining, false);
    const body = bodiesOf(door, engine).at(-1) ?? '{}';
    return (JSON.parse(body) as { kv_transfer_params: { aborted_request?: string[] } }).kv_transfer_params.aborted_request ?? []; // prettier-ignore
  }
});
