import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { pickerIdle, startPicker, type PickerOptions, type RunningPicker } from '../e2e/envoy/picker.ts';
import { selfSigned } from '../e2e/testkit/certificate.ts';
import { ScriptedEngine, sendObject } from '../e2e/testkit/engine.ts';
import { group, policy, type Document } from '../e2e/testkit/manifests.ts';
import { closeAll } from '../e2e/testkit/sim.ts';
import { until } from '../e2e/testkit/until.ts';
import { chatHeaders, Conversation, destination, subsetHint } from './conversation.ts';
import { Connection, healthPath } from './grpc.ts';
import { Fields, Message } from './protobuf.ts';

/** What our picker promises beyond the protocol, seen through the protocol. */

const pickers: RunningPicker[] = [];
const connections: Connection[] = [];
const engines: ScriptedEngine[] = [];

afterEach(async () => {
  for (const connection of connections.splice(0)) await connection.close();
  for (const picker of pickers.splice(0)) {
    if (picker.process.running) await pickerIdle(picker);
    await picker.stop();
  }
  await closeAll(engines.splice(0));
});

async function engine(): Promise<string> {
  const made = await ScriptedEngine.start(['m']);
  engines.push(made);
  return made.address;
}

async function start(documents: readonly Document[], options: PickerOptions = {}): Promise<RunningPicker> {
  const picker = await startPicker(documents, options);
  pickers.push(picker);
  return picker;
}

async function connect(address: string, tls = false): Promise<Connection> {
  const connection = await Connection.open(address, tls);
  connections.push(connection);
  return connection;
}

/** A picker of one engine, and a connection with it. */
async function simple(options: PickerOptions = {}, more: readonly Document[] = []) {
  const address = await engine();
  const documents = [group('g', [address], { models: ['m'] }), policy('m', { backendRefs: [{ name: 'g' }] }), ...more];
  const picker = await start(documents, options);
  return { address, picker, connection: await connect(picker.grpc, options.tls) };
}

const chat = '{"model":"m","messages":[{"role":"user","content":"Say something."}]}';

describe('headers', () => {
  it('by which a client could steer are taken away, and its key, unless the group forwards keys', async () => {
    const forwards = { connection: { forwardAuthorization: true } };
    const [one, two] = [await engine(), await engine()];
    const picker = await start([
      group('g', [one], { models: ['m'] }),
      policy('m', { backendRefs: [{ name: 'g' }] }),
      group('open', [two], { models: ['o'], ...forwards }),
      policy('o', { backendRefs: [{ name: 'open' }] }),
    ]);
    const connection = await connect(picker.grpc);
    const steering = {
      'x-openfuyao-prefill-pod-address-port': '127.0.0.1:1',
      'x-openfuyao-anything': '1',
      'x-prefiller-host-port': '127.0.0.1:1',
      'x-gateway-destination-endpoint-subset': '127.0.0.1:1',
      'x-gateway-destination-endpoint-served': '127.0.0.1:1',
      'x-llm-d-model-name-rewrite': 'm',
      'x-llm-d-inference-objective': 'o',
    };
    const headers = { ...chatHeaders, ...steering, authorization: 'Bearer sk-1', 'x-other': '1' };
    const conversation = new Conversation(connection).headers(headers).body(chat);
    const picked = await conversation.picked();
    expect(picked.headers.remove.toSorted()).toEqual([...Object.keys(steering), 'authorization'].toSorted());
    await conversation.finish();
  });

  it('for an engine are set: a new request id where the client’s cannot be used, the path that it knows', async () => {
    const { connection } = await simple();
    const headers = {
      ...chatHeaders,
      ':path': '/rest/hermes-router/v1beta1/v1/chat/completions?a=1',
      'x-request-id': 'not usable\t',
    };
    const conversation = new Conversation(connection).headers(headers).body(chat);
    const set = Object.fromEntries((await conversation.picked()).headers.set.map(({ name, value }) => [name, value]));
    expect(set[':path']).toBe('/v1/chat/completions?a=1');
    expect(set['x-request-id']).toMatch(/^[A-Za-z0-9._:-]{1,128}$/);
    await conversation.finish();
  });
});

describe('a rewritten model', () => {
  const body = '{ "n" : 9223372036854775807, "t":1.0, "model" : "asked", "user":"é\\u00e9" }';

  it('changes those bytes alone, with a content-length that is right, and is put back in the answer', async () => {
    const backendRefs = [{ name: 'g', rewriteModel: 'm' }];
    const { connection } = await simple({}, [policy('asked', { backendRefs })]);
    const conversation = new Conversation(connection)
      .headers({ ...chatHeaders, 'content-length': String(Buffer.byteLength(body)) })
      .body(body);
    const picked = await conversation.picked();
    const rewritten = body.replace('"asked"', '"m"');
    expect(picked.body.toString()).toBe(rewritten);
    const length = picked.headers.set.find(({ name }) => name === 'content-length')?.value;
    if (!picked.headers.remove.includes('content-length')) expect(length).toBe(String(Buffer.byteLength(rewritten)));
    const answer = '{"id":"1","model":"m","choices":[{"text":"\\"model\\":\\"m\\""}]}';
    conversation.responseHeaders({ ':status': '200', 'content-type': 'application/json', 'content-length': '99' });
    expect((await conversation.expect('responseHeaders')).remove).toContain('content-length');
    for (const byte of Buffer.from(answer)) conversation.responseBody(Buffer.of(byte), false);
    conversation.responseBody('', true);
    const back = (await conversation.bodyTo('responseBody')).body.toString();
    expect(back).toBe(answer.replace('"model":"m"', '"model":"asked"'));
    conversation.call.halfClose();
    expect((await conversation.call.status).code).toBe(0);
  });

  it.each([
    ['is heeded with --trust-headers, for a model of the same policy', ['--trust-headers'], 'n', '"n"'],
    ['is not heeded for a model of nobody', ['--trust-headers'], 'nobody', '"m"'],
    ['is not heeded without --trust-headers', [], 'n', '"m"'],
  ])('by a header %s', async (_name, flags, wanted, expected) => {
    const address = await engine();
    const picker = await start(
      [
        group('g', [address], { models: ['m', 'n'] }),
        policy('both', { match: { models: ['m', 'n'] }, backendRefs: [{ name: 'g' }] }),
      ],
      { flags },
    );
    const connection = await connect(picker.grpc);
    const headers = { ...chatHeaders, 'x-llm-d-model-name-rewrite': wanted };
    const conversation = new Conversation(connection).headers(headers).body(chat);
    expect((await conversation.picked()).body.toString()).toBe(chat.replace('"m"', expected));
    await conversation.finish();
  });
});

describe('our deadline', () => {
  it('ends a call whose request does not, with DEADLINE_EXCEEDED; others go on', async () => {
    const { connection } = await simple({ flags: ['--deadline', '500ms'] });
    const silent = new Conversation(connection);
    const half = new Conversation(connection).headers().body('{"model"', false);
    expect((await half.call.status).code).toBe(4);
    expect((await silent.call.status).code).toBe(4);
    const conversation = new Conversation(connection).headers().body(chat);
    await conversation.picked();
    // The engine may take longer than that.
    await until('the deadline is over', () => new Promise((resolve) => setTimeout(resolve, 700, true)));
    expect((await conversation.finish()).code).toBe(0);
  });

  it('ends a call whose KV manager hangs, and without its answer before that', async () => {
    const address = await engine();
    const manager = await ScriptedEngine.start(['none'], () => undefined);
    engines.push(manager);
    const url = `http://${manager.address}`;
    const kvCache = { type: 'Manager', manager: { url, timeout: '30s' } };
    const picker = await start(
      [
        group('g', [address], { models: ['m'], kvCache }),
        policy('m', { backendRefs: [{ name: 'g' }], strategy: { type: 'KVAware' } }),
      ],
      { flags: ['--deadline', '500ms'] },
    );
    const connection = await connect(picker.grpc);
    const conversation = new Conversation(connection).headers().body(chat);
    expect((await conversation.call.status).code).toBe(4);
    expect(conversation.call.messages).toHaveLength(0);
    await manager.close();
    engines.pop();
  });
});

describe('a drain', () => {
  it('says NOT_SERVING, lets calls under way end, and exits 0', async () => {
    const { picker, connection } = await simple({ flags: ['--drain-delay', '1s'] });
    const health = await connect(picker.health);
    const ask = async (): Promise<number> =>
      new Fields(await health.unary(healthPath, new Message().bytes(1, 'readiness').finish())).number(1);
    const conversation = new Conversation(connection).headers().body(chat);
    await conversation.picked();
    expect(await ask()).toBe(1);
    picker.process.signal('SIGTERM');
    await until('NOT_SERVING', async () => (await ask()) === 2);
    // Gateways may not have heard of it: until the delay is over, calls are still taken.
    const late = new Conversation(connection).headers().body(chat);
    await late.picked();
    expect((await late.finish()).code).toBe(0);
    expect((await conversation.finish()).code).toBe(0);
    expect(await picker.process.exit).toBe(0);
  });

  it('cuts what is left when its time is over', async () => {
    const { picker, connection } = await simple({ flags: ['--drain-delay', '0s', '--drain-timeout', '500ms'] });
    const conversation = new Conversation(connection).headers().body(chat);
    await conversation.picked();
    picker.process.signal('SIGTERM');
    expect((await conversation.call.status).code).not.toBe(0);
    expect(await picker.process.exit).toBe(0);
  });
});

describe('TLS', () => {
  const presented = (address: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const [host, port] = address.split(':');
      const options = { host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ['h2'] };
      const socket = connectTls(options, () => {
        resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? '');
        socket.destroy();
      });
      socket.once('error', reject);
    });

  it('is spoken with a certificate of its own', async () => {
    const { connection, picker } = await simple({ tls: true });
    const conversation = new Conversation(connection).headers().body(chat);
    await conversation.picked();
    await conversation.finish();
    expect(await presented(picker.grpc)).not.toBe('');
  });

  it('is spoken with a certificate from files, and with its heir soon after the files have changed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hermes-epp-tls-'));
    try {
      const put = (): void => {
        const { cert, key } = selfSigned('picker.test');
        for (const [name, text] of [['tls.crt', cert], ['tls.key', key]]) writeFileSync(join(folder, name), text); // prettier-ignore
      };
      put();
      const { connection, picker } = await simple({ tls: true, flags: ['--cert-path', folder] });
      const first = await presented(picker.grpc);
      const conversation = new Conversation(connection).headers().body(chat);
      await conversation.picked();
      put();
      await until('the new one is shown', async () => (await presented(picker.grpc)) !== first, 30_000);
      // Who was there before is not disturbed.
      expect((await conversation.finish()).code).toBe(0);
      const second = await presented(picker.grpc);
      copyFileSync(join(folder, 'tls.crt'), join(folder, 'tls.key'));
      await until('the fault is told', () => picker.process.entries().some(({ level }) => level === 'warn' || level === 'error'), 30_000); // prettier-ignore
      expect(await presented(picker.grpc)).toBe(second);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('with --conformance', () => {
  it('endpoints are picked by a header, within the subset, and the one that served is told', async () => {
    const addresses = [await engine(), await engine(), await engine()];
    const picker = await start(
      [group('g', addresses, { models: ['m'] }), policy('m', { backendRefs: [{ name: 'g' }] })],
      { flags: ['--conformance'] },
    );
    const connection = await connect(picker.grpc);
    for (const address of addresses) {
      const headers = { ...chatHeaders, 'test-epp-endpoint-selection': address };
      const conversation = new Conversation(connection).headers(headers).body(chat);
      expect((await conversation.picked()).endpoints[0]).toBe(address);
      const metadata = { 'envoy.lb': { [`${destination}-served`]: address } };
      conversation.responseHeaders({ ':status': '200' }, true, { metadata });
      const { set } = await conversation.expect('responseHeaders');
      expect(set.find(({ name }) => name === 'x-conformance-test-served-endpoint')?.value).toBe(address);
      conversation.call.halfClose();
    }
    const headers = { ...chatHeaders, 'test-epp-endpoint-selection': addresses[0] };
    const outside = new Conversation(connection, subsetHint([addresses[1]])).headers(headers).body(chat);
    expect((await outside.refused()).status).toBe(503);
  });
});

describe('engines that have no room', () => {
  it('cost requests of negative priority a 429, and others nothing', async () => {
    const full = await ScriptedEngine.start(['m'], (_seen, response) => sendObject(response, {}));
    engines.push(full);
    // As vLLM says it: six requests wait.
    full.metrics = 'vllm:num_requests_waiting{model_name="m"} 6\nvllm:kv_cache_usage_perc{model_name="m"} 0.1\n';
    const objective = (name: string, priority: number): Document => ({
      apiVersion: 'llm-d.ai/v1alpha2',
      kind: 'InferenceObjective',
      metadata: { name },
      spec: { priority, poolRef: { name: 'g' } },
    });
    const picker = await start([
      group('g', [full.address], { models: ['m'] }),
      policy('m', { backendRefs: [{ name: 'g' }] }),
      objective('batch', -1),
      objective('chat', 1),
    ]);
    const connection = await connect(picker.grpc);
    const ask = async (name: string) => {
      const headers = { ...chatHeaders, 'x-llm-d-inference-objective': name };
      const conversation = new Conversation(connection).headers(headers).body(chat);
      const answer = await conversation.answer();
      if (answer?.kind !== 'immediate') conversation.call.reset();
      return answer;
    };
    const refused = await until('it is known to be full', async () => {
      const answer = await ask('batch');
      return answer?.kind === 'immediate' ? answer : null;
    });
    expect(refused.immediate?.status).toBe(429);
    expect(JSON.parse(refused.immediate?.body ?? '')).toMatchObject({
      error: { type: 'rate_limit_error', code: 'saturated' },
    });
    for (const name of ['chat', 'unknown', '']) expect((await ask(name))?.kind).toBe('requestHeaders');
  });
});
