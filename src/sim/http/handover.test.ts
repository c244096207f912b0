import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { noFault, type Fault } from '../faults.ts';
import { startSimEngine, type KvTransferOptions, type SimEngine, type SimEngineOptions } from '../server.ts';
import { defaultServiceModel, type ServiceModel } from '../service-model.ts';

const started: SimEngine[] = [];
const listeners: Server[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((engine) => engine.close()));
  for (const listener of listeners.splice(0)) listener.close();
});

interface Case extends Partial<SimEngineOptions> {
  readonly service?: Partial<ServiceModel>;
  readonly transfer?: Partial<KvTransferOptions>;
}

async function start({ transfer, service, ...options }: Case = {}): Promise<SimEngine> {
  const engine = await startSimEngine({
    models: ['tiny'],
    speedUp: 100,
    service: { blockSize: 32, leaseSeconds: 1_000, ...service },
    kvTransfer: { connector: 'nixl', ...transfer },
    ...options,
  });
  started.push(engine);
  return engine;
}

async function pair(decoder: Case = {}, prefiller: Case = {}): Promise<[SimEngine, SimEngine]> {
  return [await start(prefiller), await start(decoder)];
}

const prompt = Array.from({ length: 200 }, (_, i) => 5 + 13 * i);

interface Answer {
  readonly status: number;
  readonly text: string;
}

async function ask(engine: SimEngine, body: object, options: RequestInit = {}): Promise<Answer> {
  const response = await fetch(`http://${engine.address}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': 'role-1' },
    body: JSON.stringify({ model: 'tiny', prompt, max_tokens: 6, ...body }),
    ...options,
  });
  return { status: response.status, text: await response.text() };
}

type Params = Readonly<Record<string, unknown>>;

interface Parsed {
  readonly choices: readonly { readonly text: string }[];
  readonly usage: { readonly prompt_tokens_details: { readonly cached_tokens: number } };
  readonly kv_transfer_params: Params | null;
}

function parsed({ status, text }: Answer): Parsed {
  expect(status).toBe(200);
  return JSON.parse(text) as Parsed;
}

async function prefill(engine: SimEngine, body: object = {}): Promise<Params> {
  const answer = await ask(engine, { max_tokens: 1, kv_transfer_params: { do_remote_decode: true }, ...body });
  return parsed(answer).kv_transfer_params ?? {};
}

function decode(engine: SimEngine, params: Params, body: object = {}, options: RequestInit = {}): Promise<Answer> {
  return ask(engine, { kv_transfer_params: params, ...body }, options);
}

async function single(): Promise<string> {
  return parsed(await ask(await start(), {})).choices[0].text;
}

async function post(engine: SimEngine, path: string): Promise<void> {
  expect((await fetch(`http://${engine.address}${path}`, { method: 'POST' })).status).toBe(200);
}

async function until(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { interval: 2, timeout: 5_000 }).toBe(true);
}

function fault(engine: SimEngine, what: Partial<Fault>): void {
  engine.setFault({ ...noFault, ...what });
}

const failed = '{"error":{"message":"Internal server error","type":"InternalServerError","param":null,"code":500}}';

describe('as a real vLLM with NIXL', () => {
  const capture = JSON.parse(readFileSync(new URL('../testdata/handover.json', import.meta.url), 'utf8')) as {
    prompt: number[];
    prefill: string;
    decode: string;
  };

  /** The bytes without what differs from run to run: ids, times, words, the build. */
  function steady(text: string): string {
    return text
      .replace(
        /cmpl-[a-z0-9-]+?(-0-[0-9a-f]{8})?"/g,
        (_, end?: string) => `cmpl-ID${end === undefined ? '' : '-0-8HEX'}"`,
      )
      .replace(/"created":\d+/, '"created":0')
      .replace(/"text":"[^"]*"/, '"text":""')
      .replace(/"system_fingerprint":"[^"]*"/, '"system_fingerprint":""')
      .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/, 'UUID')
      .replace(/"remote_port":\d+/, '"remote_port":0')
      .replace(/"remote_block_ids":\[\[[\d,]+\]\]/, (ids) => ids.replaceAll(/\d+/g, '1'));
  }

  test('both answers of a hand-over are the same, byte by byte', async () => {
    const [prefiller, decoder] = await pair();
    const body = { prompt: capture.prompt };
    await ask(prefiller, { ...body, max_tokens: 3 });
    const options = { headers: { 'content-type': 'application/json' } };
    const first = await ask(
      prefiller,
      { ...body, max_tokens: 1, kv_transfer_params: { do_remote_decode: true } },
      options,
    );
    expect(steady(first.text)).toBe(steady(capture.prefill));
    const params = { ...parsed(first).kv_transfer_params, zzz: [1] };
    const second = await decode(decoder, params, { ...body, max_tokens: 2 }, options);
    expect(steady(second.text)).toBe(steady(capture.decode));
  });

  test('the connector has its metrics, which move where the real ones do', async () => {
    const [prefiller, decoder] = await pair();
    await decode(decoder, await prefill(prefiller));
    const texts = await Promise.all(
      [prefiller, decoder].map(async ({ address }) => (await fetch(`http://${address}/metrics`)).text()),
    );
    const names = readFileSync(new URL('../testdata/metrics-nixl.txt', import.meta.url), 'utf8')
      .trim()
      .split('\n');
    for (const name of names) expect(texts[0]).toContain(name);
    const value = (text: string, name: string): number =>
      Number(new RegExp(`^vllm:${name}\\{[^}]*\\} (.*)$`, 'm').exec(text)?.[1]);
    const both = (name: string): number[] => texts.map((text) => value(text, name));
    expect(both('external_prefix_cache_hits_total')).toEqual([0, 200]);
    expect(both('external_prefix_cache_queries_total')).toEqual([200, 200]);
    expect(both('nixl_bytes_transferred_sum')).toEqual([0, 200 * defaultServiceModel.kvBytesPerToken]);
    expect(both('nixl_xfer_time_seconds_count')).toEqual([0, 1]);
    expect(both('nixl_num_descriptors_sum')).toEqual([0, 7]);
  });
});

describe('a prefill', () => {
  test('keeps its blocks until a decoder has read them, and that decoder says what one engine says', async () => {
    const [prefiller, decoder] = await pair();
    const params = await prefill(prefiller);
    expect(prefiller.state()).toMatchObject({ usage: 7 / 16_384, handover: { heldBlocks: 7, heldRequests: 1 } });
    expect(parsed(await decode(decoder, params)).choices[0].text).toBe(await single());
    await until(() => prefiller.state().handover.releasedByRead === 1);
    expect(prefiller.state()).toMatchObject({ usage: 0, handover: { heldBlocks: 0, deadBlockSeconds: 0 } });
    expect(decoder.state().handover).toMatchObject({ transfers: 1, externalTokens: 200, openTransfers: 0 });
  });

  test('tells its own cached tokens, and its decoder repeats them', async () => {
    const [prefiller, decoder] = await pair();
    await ask(prefiller, {});
    const params = await prefill(prefiller);
    expect(params.remote_prefill_cached_tokens).toBe(192);
    expect(parsed(await decode(decoder, params)).usage.prompt_tokens_details.cached_tokens).toBe(192);
  });

  test('that nobody reads is free when its lease ends, and counted as dead', async () => {
    const prefiller = await start({ service: { leaseSeconds: 5 } });
    await prefill(prefiller);
    await until(() => prefiller.state().handover.leaseExpired === 1);
    const { deadBlockSeconds, deadLeaseBlockSeconds, heldBlocks } = prefiller.state().handover;
    expect([deadBlockSeconds, deadLeaseBlockSeconds, heldBlocks]).toEqual([35, 35, 0].map((n) => expect.closeTo(n, 6)));
  });

  test.each<[string, (params: Params) => unknown]>([
    ["the client's request id", () => 'role-1'],
    ["the answer's id", () => 'cmpl-role-1'],
    ["the engine's id", () => 'cmpl-role-1-0'],
    ['the id in its params', ({ remote_request_id }) => remote_request_id],
  ])('is given up by a notice that has %s', async (_name, idOf) => {
    const prefiller = await start();
    const params = await prefill(prefiller);
    const notice = { aborted_request: ['nobody', idOf(params)] };
    await prefill(prefiller, { prompt: [1, 2, 3], kv_transfer_params: { do_remote_decode: true, ...notice } });
    const { releasedByAbort, abortNotices, heldBlocks } = prefiller.state().handover;
    expect([releasedByAbort, abortNotices, heldBlocks]).toEqual([1, 2, 1]);
  });

  test('passes notices over where told to, as vLLM does', async () => {
    const prefiller = await start({ transfer: { heedsAborts: false } });
    await prefill(prefiller);
    await ask(prefiller, { kv_transfer_params: { aborted_request: ['role-1'] } });
    expect(prefiller.state().handover).toMatchObject({ heldRequests: 1, releasedByAbort: 0 });
  });

  test('whose answer ends by itself keeps nothing', async () => {
    const prefiller = await start();
    const body = { messages: [{ role: 'user', content: 'hi' }], kv_transfer_params: { do_remote_decode: true } };
    const response = await fetch(`http://${prefiller.address}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    expect(((await response.json()) as Parsed).kv_transfer_params).toBeNull();
    expect(prefiller.state().handover.heldRequests).toBe(0);
  });

  test.each<[string, object]>([
    ['none at all', { kv_transfer_params: null }],
    ['unknown ones', { kv_transfer_params: { foo: 1 } }],
  ])('is not what params ask for that are %s', async (_name, body) => {
    const engine = await start();
    expect(parsed(await ask(engine, body)).kv_transfer_params).toBeNull();
    expect(engine.state().handover.heldRequests).toBe(0);
  });

  test('is asked for in vain where there is no connector', async () => {
    const engine = await startSimEngine({ models: ['tiny'], speedUp: 1_000 });
    started.push(engine);
    expect(await prefill(engine)).toEqual({});
    expect(parsed(await decode(engine, { do_remote_prefill: true })).choices[0].text).toBe(await single());
  });
});

describe('a decoder', () => {
  test('that refuses the request gives the blocks back at once', async () => {
    const [prefiller, decoder] = await pair();
    const params = await prefill(prefiller);
    expect((await decode(decoder, params, { temperature: -1 })).status).toBe(400);
    await until(() => prefiller.state().handover.releasedByRefusal === 1);
    expect((await decode(decoder, await prefill(prefiller), { model: 'other' })).status).toBe(404);
    await until(() => prefiller.state().handover.releasedByRefusal === 2);
    await until(() => prefiller.state().handover.openTransfers === 0);
    expect(prefiller.state().handover.heldBlocks).toBe(0);
  });

  test.each([false, true])(
    'answers 500 when the prefiller is dead, in its stream if it is one (%s)',
    async (stream) => {
      const [prefiller, decoder] = await pair();
      const params = await prefill(prefiller);
      await prefiller.close();
      const before = decoder.state().engineSeconds;
      const { status, text } = await decode(decoder, params, { stream });
      expect(decoder.state().engineSeconds - before).toBeGreaterThanOrEqual(5);
      expect([status, text]).toEqual(stream ? [200, `data: ${failed}\n\ndata: [DONE]\n\n`] : [500, failed]);
      expect(decoder.state()).toMatchObject({
        usage: 0,
        activeStreams: 0,
        handover: { failedTransfers: 1, receiving: 0 },
      });
    },
  );

  test('that has read from the prefiller before notices its death at once', async () => {
    const [prefiller, decoder] = await pair({ speedUp: 1, service: { transferLatency: 0.001 } });
    await decode(decoder, await prefill(prefiller), { max_tokens: 1 });
    const params = await prefill(prefiller);
    await prefiller.close();
    const before = decoder.state().engineSeconds;
    expect((await decode(decoder, params)).status).toBe(500);
    expect(decoder.state().engineSeconds - before).toBeLessThan(5);
  });

  test('computes the prompt itself when told to recompute', async () => {
    const [prefiller, decoder] = await pair({ transfer: { loadFailurePolicy: 'recompute' } });
    const params = await prefill(prefiller);
    await prefiller.close();
    expect(parsed(await decode(decoder, params)).choices[0].text).toBe(await single());
  });

  test('that reads too late answers 200, and wrongly', async () => {
    const [prefiller, decoder] = await pair();
    const params = await prefill(prefiller);
    await decode(decoder, params);
    await until(() => prefiller.state().handover.releasedByRead === 1);
    const late = parsed(await decode(await start(), params));
    expect(late.choices[0].text).not.toBe(await single());
    await until(() => prefiller.state().handover.lateNotices === 1);
  });

  test('is refused by a prefiller that was started anew', async () => {
    const [prefiller, decoder] = await pair();
    const params = await prefill(prefiller);
    expect((await decode(decoder, { ...params, remote_engine_id: 'another' })).status).toBe(500);
    expect(prefiller.state().handover.heldRequests).toBe(1);
  });

  test('keeps the blocks from expiring while the request waits for its turn', async () => {
    const [prefiller, decoder] = await pair({}, { service: { leaseSeconds: 50 } });
    const params = await prefill(prefiller);
    await post(decoder, '/sleep');
    const waiting = decode(decoder, params);
    await until(() => prefiller.state().handover.openTransfers === 1);
    const asked = prefiller.state().engineSeconds;
    await until(() => prefiller.state().engineSeconds > asked + 60);
    expect(prefiller.state().handover.leaseExpired).toBe(0);
    await post(decoder, '/wake_up');
    expect(parsed(await waiting).choices[0].text).toBe(await single());
    await until(() => prefiller.state().handover.releasedByRead === 1);
  });

  test('whose client leaves before its turn tells the prefiller; in the middle of the bytes it reads on', async () => {
    const [prefiller, decoder] = await pair({ service: { transferLatency: 50 } });
    const leave = new AbortController();
    const gone = expect(decode(decoder, await prefill(prefiller), {}, { signal: leave.signal })).rejects.toThrow();
    await until(() => decoder.state().handover.moving === 1);
    leave.abort();
    await gone;
    await until(() => decoder.state().aborted === 1);
    await until(() => prefiller.state().handover.releasedByRead === 1);
    await until(() => decoder.state().usage === 0);
    const asleep = await start();
    await post(asleep, '/sleep');
    const again = new AbortController();
    const goneToo = expect(decode(asleep, await prefill(prefiller), {}, { signal: again.signal })).rejects.toThrow();
    await until(() => asleep.state().waiting === 1);
    again.abort();
    await goneToo;
    await until(() => prefiller.state().handover.releasedByRefusal === 1);
  });

  test('dies of params without block ids, and waits for ever for blocks that are nobody’s', async () => {
    const death = Promise.withResolvers<string>();
    const onDeath = (): void => {
      death.resolve('dead');
    };
    const mortal = await start({ onDeath });
    const answer = expect(decode(mortal, { do_remote_prefill: true })).rejects.toThrow();
    expect(await death.promise).toBe('dead');
    await answer;
    const patient = await start();
    const params = await prefill(patient);
    const leave = new AbortController();
    const { remote_request_id: _, ...old } = params;
    const hung = expect(decode(patient, old, { prompt: [1, 2] }, { signal: leave.signal })).rejects.toThrow();
    await until(() => patient.state().handover.receiving === 1);
    leave.abort();
    await hung;
    await until(() => patient.state().handover.receiving === 0);
  });
});

describe('shared storage', () => {
  test('gives the decoder the prompt without any params, which are null', async () => {
    const names = new Set<string>();
    const shared = { transfer: { connector: 'shared' as const, names } };
    const [prefiller, decoder] = await pair(shared, shared);
    expect(await prefill(prefiller)).toEqual({});
    const answer = parsed(await ask(decoder, {}));
    expect(answer.usage.prompt_tokens_details.cached_tokens).toBe(192);
    expect(answer.choices[0].text).toBe(await single());
    expect(decoder.state().handover).toMatchObject({ connector: 'shared', externalTokens: 192, heldRequests: 0 });
    expect(names.size).toBe(1);
  });
});

describe('on demand', () => {
  const answers: [string, Partial<Fault>, number | null, number][] = [
    ['an error before a prefill', { type: 'error', on: 'prefill' }, 500, 0],
    ['an error during it', { type: 'error', on: 'prefill', when: 'during' }, 500, 0],
    ['an error after it, its blocks kept', { type: 'error', on: 'prefill', when: 'after' }, 500, 1],
    ['unavailable during it', { type: 'unavailable', on: 'prefill', when: 'during' }, 503, 0],
    ['a cut before it', { type: 'cut', on: 'prefill', when: 'before' }, null, 0],
    ['a cut during it', { type: 'cut', on: 'prefill', when: 'during' }, null, 0],
    ['a cut after it, its blocks kept', { type: 'cut', on: 'prefill', when: 'after' }, null, 1],
  ];
  test.each(answers)('%s', async (_name, what, status, held) => {
    const engine = await start();
    fault(engine, { ...what, count: 1 });
    const spared = await ask(engine, { kv_transfer_params: { foo: 1 } });
    expect(spared.status).toBe(200);
    const answer = ask(engine, {
      prompt: prompt.toReversed(),
      max_tokens: 1,
      kv_transfer_params: { do_remote_decode: true },
    });
    if (status === null) await expect(answer).rejects.toThrow();
    else expect((await answer).status).toBe(status);
    await until(() => engine.state().activeStreams === 0 && engine.state().running === 0);
    expect(engine.state().handover.heldRequests).toBe(held);
    expect((await ask(engine, {})).status).toBe(200);
  });

  test.each(['before', 'during', 'after'] as const)('silence %s a prefill', async (when) => {
    const engine = await start();
    fault(engine, { type: 'hang', on: 'prefill', when, count: 1 });
    const leave = new AbortController();
    const answer = prefillOf(engine, leave.signal);
    // The next one is answered: the silence is the first one's alone.
    await until(() => engine.state().requests === (when === 'before' ? 0 : 1));
    if (when === 'after') await until(() => engine.state().handover.heldRequests === 1);
    expect((await ask(engine, {})).status).toBe(200);
    leave.abort();
    await expect(answer).rejects.toThrow();
    await until(() => engine.state().activeStreams === 0);
  });

  function prefillOf(engine: SimEngine, signal: AbortSignal): Promise<Answer> {
    return ask(engine, { prompt: [1, 2], max_tokens: 1, kv_transfer_params: { do_remote_decode: true } }, { signal });
  }

  test.each(['text', 'huge', 'deep'] as const)('garbage in place of params: %s', async (shape) => {
    const engine = await start();
    fault(engine, { type: 'garbage-params', shape, count: 1 });
    const { status, text } = await prefillOf(engine, AbortSignal.timeout(5_000));
    expect(status).toBe(200);
    const wanted = { text: '"kv_transfer_params":"not an object"', huge: '7,7,7', deep: '['.repeat(100_000) };
    expect(text).toContain(wanted[shape]);
    expect(engine.state().handover.heldRequests).toBe(1);
  });

  test('death when the prefill has been answered', async () => {
    const death = Promise.withResolvers<string>();
    const onDeath = (): void => {
      death.resolve('dead');
    };
    const engine = await start({ onDeath });
    fault(engine, { type: 'die-after-prefill' });
    expect((await ask(engine, {})).status).toBe(200);
    expect((await prefill(engine)).do_remote_prefill).toBe(true);
    expect(await death.promise).toBe('dead');
  });

  test.each(['transfer-refuse', 'transfer-ignore'] as const)('%s: the decoder answers 500', async (type) => {
    const [prefiller, decoder] = await pair();
    fault(prefiller, { type, count: 1 });
    expect((await decode(decoder, await prefill(prefiller))).status).toBe(500);
    expect((await decode(decoder, await prefill(prefiller))).status).toBe(200);
  });

  test('transfer-hang: the decoder waits until its client leaves, and the prefiller keeps the blocks so long', async () => {
    const [prefiller, decoder] = await pair({}, { service: { leaseSeconds: 50 } });
    fault(prefiller, { type: 'transfer-hang' });
    const leave = new AbortController();
    const answer = decode(decoder, await prefill(prefiller), {}, { signal: leave.signal });
    const gone = expect(answer).rejects.toThrow();
    await until(() => prefiller.state().handover.openTransfers === 1);
    const asked = prefiller.state().engineSeconds;
    await until(() => prefiller.state().engineSeconds > asked + 60);
    expect(prefiller.state().handover).toMatchObject({ heldRequests: 1, leaseExpired: 0 });
    leave.abort();
    await gone;
    await until(() => prefiller.state().handover.leaseExpired === 1);
    expect(decoder.state()).toMatchObject({ usage: 0, activeStreams: 0, handover: { openTransfers: 0, receiving: 0 } });
  });
});

test('a stranger at the side channel is cut off', async () => {
  const engine = await start();
  const [host, port] = (engine.sideChannel ?? '').split(':');
  await expect(fetch(`http://${host}:${port}/`)).rejects.toThrow();
  await until(() => engine.state().handover.openTransfers === 0);
});

test('a side channel whose port is taken is an error of the start', async () => {
  const listener = createServer();
  listeners.push(listener);
  const port = await new Promise<number>((resolve) => {
    listener.listen(0, '127.0.0.1', () => {
      const address = listener.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
  await expect(start({ transfer: { port } })).rejects.toThrow(/EADDRINUSE/);
});
