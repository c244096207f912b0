import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { echo, sendObject, type ScriptedEngine, type Script } from './testkit/engine.ts';
import { policy, type Document } from './testkit/manifests.ts';
import { pairedGroup, type PairMember } from './testkit/pairs.ts';
import { metric, type RunningRouter } from './testkit/router.ts';
import { until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

let world: World;
let router: RunningRouter;
let engines: Map<string, ScriptedEngine>;
beforeEach(() => {
  world = new World();
  engines = new Map();
});
afterEach(() => world.close());

const answer = { id: 'cmpl-1', choices: [], kv_transfer_params: { remote_block_ids: [[1, 2]] } };
const prefill: Script = (_seen, response) => sendObject(response, answer);
const reset: Script = (_seen, response) => void response.socket?.resetAndDestroy();
const silent: Script = () => undefined;

/** Engines by name, as in `a-p0`: groups of so many prefillers and decoders. */
async function serve(
  groups: Readonly<Record<string, readonly [prefills: number, decodes: number]>>,
  spec: { readonly pairs?: Document; readonly rules?: Document } = {},
): Promise<void> {
  const members: PairMember[] = [];
  for (const [group, counts] of Object.entries(groups)) {
    for (const [i, role] of (['prefill', 'decode'] as const).entries()) {
      const started = await world.script(counts[i], 'm', role === 'prefill' ? prefill : echo);
      for (const [n, engine] of started.entries()) {
        const name = `${group}-${role[0]}${n}`;
        engines.set(name, engine);
        members.push({ name, address: engine.address, role, group });
      }
    }
  }
  // Engines that fail stay in: it is the way of one request that is looked at.
  const health = { interval: '60s', failures: 100, passive: { consecutiveFailures: 1000 } };
  router = await world.serve([
    pairedGroup('m', members, spec.pairs, { health }),
    policy('m', { strategy: { type: 'RandomPDBucket' }, ...spec.rules }),
  ]);
}

function engine(name: string): ScriptedEngine {
  const found = engines.get(name);
  if (found === undefined) throw new Error(`no engine ${name}`);
  return found;
}

const script = (names: readonly string[], todo: Script): void => {
  for (const name of names) engine(name).script = todo;
};
const seen = (...names: string[]): number[] => names.map((name) => engine(name).seen.length);
const total = (...names: string[]): number => seen(...names).reduce((sum, count) => sum + count, 0);

/** Does it once, and then what is usual. */
function once(first: Script, then: Script): Script {
  let done = false;
  return (request, response) => {
    const todo = done ? then : first;
    done = true;
    todo(request, response);
  };
}

/** Ids that prefillers were told to give up. */
function givenUp(...names: string[]): string[] {
  return names.flatMap((name) =>
    engine(name).seen.flatMap(({ body }) => {
      const { kv_transfer_params: params } = JSON.parse(body) as { kv_transfer_params: { aborted_request?: string[] } };
      return params.aborted_request ?? [];
    }),
  );
}

const ask = (fields: object = {}, id = 'r') => world.client.chat('m', fields, { headers: { 'x-request-id': id } });
const counted = (stage: string, outcome: string): Promise<number> =>
  metric(router, 'hermes_handovers_total', `stage="${stage}",outcome="${outcome}"`);

describe('a prefiller that', () => {
  const partly: Script = (_seen, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
    response.write('{"id":"cmpl', () => response.socket?.resetAndDestroy());
  };

  it.each([
    ['breaks before its answer', reset, 'reset'],
    ['breaks within its answer', partly, 'reset'],
  ])('%s costs no request: another one computes the prompt', async (_sentence, todo, outcome) => {
    await serve({ a: [1, 1], b: [1, 1] });
    const broken = once(todo, prefill);
    script(['a-p0', 'b-p0'], broken);
    expect((await ask({ stream: true })).status).toBe(200);
    expect([total('a-p0', 'b-p0'), total('a-d0', 'b-d0')]).toEqual([2, 1]);
    expect(await counted('prefill', outcome)).toBe(1);
  });

  it('is gone costs no request', async () => {
    await serve({ a: [1, 1], b: [1, 1] });
    await engine('a-p0').close();
    for (let i = 0; i < 12; i++) expect((await ask()).status).toBe(200);
    expect(seen('a-d0', 'b-d0')).toEqual([0, 12]);
  });

  it('kills what it is asked meets a second one at most', async () => {
    await serve({ a: [3, 1] });
    script(['a-p0', 'a-p1', 'a-p2'], reset);
    const { status, headers, error } = await ask();
    expect([status, error.code, headers['x-should-retry']]).toEqual([502, 'upstream_unreachable', 'false']);
    expect([total('a-p0', 'a-p1', 'a-p2'), total('a-d0')]).toEqual([2, 0]);
  });

  it('hangs is left after its stage’s time', async () => {
    await serve(
      { a: [1, 1], b: [1, 1] },
      { pairs: { timeouts: { prefill: '300ms' } }, rules: { retries: { on: ['Timeout'] } } },
    );
    const hanging = once(silent, prefill);
    script(['a-p0', 'b-p0'], hanging);
    expect((await ask()).status).toBe(200);
    expect(await counted('prefill', 'timeout')).toBe(1);
  });

  it('hangs where no second try is allowed is a time-out to the client', async () => {
    await serve({ a: [1, 1] }, { pairs: { timeouts: { prefill: '300ms' } } });
    script(['a-p0'], silent);
    const { status, error } = await ask();
    expect([status, error.code]).toEqual([504, 'upstream_timeout']);
    expect(error.message).toContain('prefill');
    await until('the connection is closed', () => engine('a-p0').open === 0);
  });
});

describe('a decoder that', () => {
  it('is gone: another one of the group reads the very same blocks', async () => {
    await serve({ a: [1, 2] });
    await engine('a-d0').close();
    for (let i = 0; i < 12; i++) expect((await ask({}, `r${i}`)).status).toBe(200);
    expect(seen('a-p0', 'a-d1')).toEqual([12, 12]);
    expect(givenUp('a-p0')).toEqual([]);
  });

  it('is gone, the only one of its group: another pair does all of it, and the prefiller is told', async () => {
    await serve({ a: [1, 1], b: [1, 1] });
    await engine('a-d0').close();
    for (let i = 0; i < 20; i++) expect((await ask({}, `r${i}`)).status).toBe(200);
    expect(seen('b-p0', 'b-d0')).toEqual([20, 20]);
    // Each prefill of the first group was for nobody; the next one says so.
    const [wasted] = seen('a-p0');
    expect(wasted).toBeGreaterThan(1);
    expect(givenUp('a-p0').length).toBe(wasted - 1);
  });

  it('breaks before its first byte: the whole request goes to another pair, once', async () => {
    await serve({ a: [1, 1], b: [1, 1] });
    script(['a-d0', 'b-d0'], once(reset, echo));
    expect((await ask()).status).toBe(200);
    expect([total('a-p0', 'b-p0'), total('a-d0', 'b-d0')]).toEqual([2, 2]);
    expect(await counted('decode', 'reset')).toBe(1);
  });

  it('breaks, and so does the next: the client is told not to try again', async () => {
    await serve({ a: [1, 1], b: [1, 1], c: [1, 1] });
    script(['a-d0', 'b-d0', 'c-d0'], reset);
    const { status, headers } = await ask();
    expect([status, headers['x-should-retry']]).toEqual([502, 'false']);
    expect(total('a-d0', 'b-d0', 'c-d0')).toBe(2);
  });

  it('breaks in the middle of its stream: an error event, and no clean end', async () => {
    await serve({ a: [1, 1] });
    script(['a-d0'], (_seen, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: {"choices":[]}\n\n', () => response.socket?.resetAndDestroy());
    });
    const stream = await (await world.client.stream('m')).drain();
    expect([stream.status, stream.broken]).toEqual([200, true]);
    expect(stream.events.at(-1)).toContain('upstream_reset');
  });

  it('says that it could not get the blocks: another pair does all of it', async () => {
    await serve({ a: [1, 1], b: [1, 1] });
    const failed = { error: { message: 'Internal server error', type: 'InternalServerError', param: null, code: 500 } };
    script(
      ['a-d0', 'b-d0'],
      once((_seen, response) => sendObject(response, failed, 500), echo),
    );
    expect((await ask()).status).toBe(200);
    expect([total('a-p0', 'b-p0'), total('a-d0', 'b-d0')]).toEqual([2, 2]);
  });

  it('says so in a stream that has begun with nothing: another pair does all of it', async () => {
    await serve({ a: [1, 1], b: [1, 1] });
    const failed: Script = (_seen, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(
        'data: {"error":{"message":"Internal server error","type":"InternalServerError","param":null,"code":500}}\n\n',
      );
      response.end('data: [DONE]\n\n');
    };
    script(['a-d0', 'b-d0'], once(failed, echo));
    const stream = await (await world.client.stream('m')).drain();
    expect([stream.status, stream.broken, stream.events.at(-1)]).toEqual([200, false, '[DONE]']);
    expect(stream.text).not.toContain('InternalServerError');
    expect(total('a-p0', 'b-p0')).toBe(2);
  });

  it('says so in a chat once it has said who speaks: another pair does all of it', async () => {
    await serve({ a: [1, 1], b: [1, 1] });
    const failed: Script = (_seen, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n', () => {
        response.end('data: {"error":{"message":"Internal server error","code":500}}\n\ndata: [DONE]\n\n');
      });
    };
    script(['a-d0', 'b-d0'], once(failed, echo));
    const stream = await (await world.client.stream('m')).drain();
    expect([stream.status, stream.broken, stream.events.at(-1)]).toEqual([200, false, '[DONE]']);
    expect(stream.text).not.toContain('Internal server error');
    expect(total('a-p0', 'b-p0')).toBe(2);
  });

  it('fails for every pair: the engine’s own words in the end', async () => {
    await serve({ a: [1, 1], b: [1, 1], c: [1, 1] });
    const failed = { error: { message: 'Internal server error', type: 'InternalServerError', param: null, code: 500 } };
    script(['a-d0', 'b-d0', 'c-d0'], (_seen, response) => sendObject(response, failed, 500));
    const { status, error } = await ask();
    expect([status, error.type]).toEqual([500, 'InternalServerError']);
    expect(total('a-d0', 'b-d0', 'c-d0')).toBe(2);
  });

  it('hangs before its first byte is left after its stage’s time', async () => {
    await serve(
      { a: [1, 1], b: [1, 1] },
      { pairs: { timeouts: { decode: '300ms' } }, rules: { retries: { on: ['Timeout'] } } },
    );
    script(['a-d0', 'b-d0'], once(silent, echo));
    const stream = await (await world.client.stream('m')).drain();
    expect([stream.status, stream.events.at(-1)]).toEqual([200, '[DONE]']);
    expect(await counted('decode', 'timeout')).toBe(1);
  });

  it('refuses the request: the client sees why, and nobody else is asked', async () => {
    await serve({ a: [1, 1], b: [1, 1] });
    script(['a-d0', 'b-d0'], (_seen, response) =>
      sendObject(response, { error: { message: 'too long', code: 400 } }, 400),
    );
    const { status, error } = await ask();
    expect([status, error.message]).toEqual([400, 'too long']);
    expect(total('a-d0', 'b-d0')).toBe(1);
  });
});

describe('a client that leaves', () => {
  async function leaves(todo: Readonly<Record<string, Script>>, when: () => boolean): Promise<void> {
    await serve({ a: [1, 1] });
    for (const [name, what] of Object.entries(todo)) script([name], what);
    const leaving = new AbortController();
    const headers = { 'x-request-id': 'left' };
    const asked = world.client.stream('m', {}, { headers, signal: leaving.signal }).then((stream) => stream.drain());
    await until('it is where it should be', when);
    leaving.abort();
    await asked.catch(() => undefined);
    await until('both engines are left', () => engine('a-p0').open + engine('a-d0').open === 0);
    script(['a-p0'], prefill);
    script(['a-d0'], echo);
    for (const id of ['one', 'two']) expect((await ask({}, id)).status).toBe(200);
  }

  it('while its prompt is computed: the prefiller is cancelled and told', async () => {
    await leaves({ 'a-p0': silent }, () => engine('a-p0').open === 1);
    expect(givenUp('a-p0')).toEqual(['left']);
    expect(await counted('prefill', 'client_left')).toBe(1);
  });

  it('before the decoder has begun: both are cancelled, the prefiller is told', async () => {
    await leaves({ 'a-d0': silent }, () => engine('a-d0').open === 1);
    expect(givenUp('a-p0')).toEqual(['left']);
    expect(await counted('decode', 'client_left')).toBe(1);
  });

  it('before the decoder has sent anything but the head: the blocks may not have been read yet', async () => {
    await leaves(
      {
        'a-d0': (_seen, response) =>
          void response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders(),
      },
      () => engine('a-d0').open === 1,
    );
    expect(givenUp('a-p0')).toEqual(['left']);
  });

  it('in the middle of its stream: the decoder is cancelled, and has read the blocks long since', async () => {
    let begun = false;
    await leaves(
      {
        'a-d0': (_seen, response) => {
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          response.write('data: {"choices":[]}\n\n', () => (begun = true));
        },
      },
      () => begun,
    );
    expect(givenUp('a-p0')).toEqual([]);
  });
});

it('a request id that two clients use at once is never given up for one of them', async () => {
  await serve({ a: [1, 1] });
  script(['a-d0'], silent);
  const leaving = new AbortController();
  const headers = { 'x-request-id': 'same' };
  const first = world.client.chat('m', {}, { headers, signal: leaving.signal }).catch(() => undefined);
  const second = world.client.chat('m', {}, { headers });
  await until('both are with the decoder', () => engine('a-d0').open === 2);
  leaving.abort();
  await first;
  await until('one has left', () => engine('a-d0').open === 1);
  const third = ask({}, 'third');
  await until('another is with the decoder', () => engine('a-d0').open === 2);
  expect(givenUp('a-p0')).toEqual([]);
  await engine('a-d0').close();
  expect((await Promise.all([second, third])).map(({ status }) => status)).toEqual([502, 502]);
});
