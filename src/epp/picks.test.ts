import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { endpoint, policy, profile, readyStates } from '../../test/fixtures/fleet.ts';
import type { ManagerLookup } from '../router/foreknowledge.ts';
import {
  books,
  Call,
  chat,
  emptyBooks,
  openRoom,
  placed,
  type Headers,
  type Metadata,
  type Room,
} from './picker.fixture.ts';
import { GrpcStatus } from './carrier/carrier.ts';

let room: Room;

beforeEach(() => {
  room = openRoom();
});

afterEach(() => {
  expect(books(room)).toEqual(emptyBooks);
});

const subset = (value: string | string[] | null): Metadata => ({
  'envoy.lb.subset_hint': { 'x-gateway-destination-endpoint-subset': value },
});

/** Where a request goes, or the error that it gets. */
function pickedOf(metadata: Metadata, headers: Headers = []): string {
  const call = new Call(room).head({ metadata, headers }).body(chat(), true).close();
  return call.sets('requestHeaders', 'x-gateway-destination-endpoint') ?? call.error();
}

describe('The subset hint', () => {
  it.each<[string, Metadata, string]>([
    ['none', {}, '10.0.0.0:8000,10.0.0.1:8000,10.0.0.2:8000'],
    ['null', subset(null), '10.0.0.0:8000,10.0.0.1:8000,10.0.0.2:8000'],
    ['a list', subset(['10.0.0.2:8000', '10.0.0.1:8000']), '10.0.0.1:8000,10.0.0.2:8000'],
    ['a text with commas', subset('10.0.0.2:8000, 10.0.0.1:8000'), '10.0.0.1:8000,10.0.0.2:8000'],
    ['one address', subset('10.0.0.2:8000'), '10.0.0.2:8000'],
    ['a host without a port', subset('10.0.0.2'), '10.0.0.2:8000'],
    ['an unknown address beside a known one', subset('10.9.9.9:8000,10.0.0.1:8000'), '10.0.0.1:8000'],
    ['unknown addresses only', subset('10.9.9.9:8000'), '503 no_ready_endpoint'],
    ['an empty list', subset([]), '503 no_ready_endpoint'],
    ['an empty text', subset(''), '503 no_ready_endpoint'],
  ])('%s', (_name, metadata, wanted) => {
    expect(pickedOf(metadata)).toBe(wanted);
  });

  it('takes IPv6 addresses with and without brackets and port', () => {
    room = openRoom({
      group: { endpoints: [endpoint(0, { address: '[fd00::1]:8000' }), endpoint(1, { address: '[fd00::2]:8000' })] },
    });
    for (const hint of ['[fd00::2]:8000', '[fd00::2]', 'fd00::2'])
      expect(pickedOf(subset(hint)), hint).toBe('[fd00::2]:8000');
  });
});

describe('The conformance switches', () => {
  const select = (list: string): Headers => [['test-epp-endpoint-selection', list]];

  it.each<[string, Headers, Metadata, string]>([
    ['picks these, in their order', select('10.0.0.2:8000,10.0.0.0:8000'), {}, '10.0.0.2:8000,10.0.0.0:8000'],
    ['takes hosts without a port', select('10.0.0.1'), {}, '10.0.0.1:8000'],
    ['passes over strangers', select('10.9.9.9:8000, 10.0.0.1:8000'), {}, '10.0.0.1:8000'],
    ['refuses strangers alone', select('10.9.9.9:8000'), {}, '503 no_ready_endpoint'],
    ['stays within the subset', select('10.0.0.2:8000,10.0.0.1:8000'), subset('10.0.0.1:8000'), '10.0.0.1:8000'],
    ['picks by itself without the header', [], {}, '10.0.0.0:8000,10.0.0.1:8000,10.0.0.2:8000'],
  ])('%s', (_name, headers, metadata, wanted) => {
    room = openRoom({ settings: { conformance: true } });
    expect(pickedOf(metadata, headers)).toBe(wanted);
  });

  it('do nothing unless they are on', () => {
    expect(pickedOf({}, select('10.0.0.2:8000'))).toMatch(/^10\.0\.0\.0:8000/);
    const call = placed(room).replyHead(200, { served: '10.0.0.0:8000', endOfStream: true }).halfClose();
    expect(call.sets('responseHeaders', 'x-conformance-test-served-endpoint')).toBeUndefined();
  });

  it('tell who has served', () => {
    room = openRoom({ settings: { conformance: true } });
    const call = placed(room).replyHead(200, { served: '10.0.0.1:8000', endOfStream: true }).halfClose();
    expect(call.sets('responseHeaders', 'x-conformance-test-served-endpoint')).toBe('10.0.0.1:8000');
  });

  it('let any path through', () => {
    room = openRoom({ settings: { conformance: true } });
    const call = new Call(room).head({ path: '/primary-gateway-test?a', method: 'GET', endOfStream: true });
    expect(call.kinds()).toEqual(['requestHeaders']);
    expect(call.sets('requestHeaders', ':path')).toBeUndefined();
    call.close();
  });
});

describe('The rewrite header', () => {
  const rewrite = (model: string): Headers => [['x-llm-d-model-name-rewrite', model]];
  const options = { group: { models: ['m', 'lora'] }, policy: { match: { models: ['m', 'lora'], headers: [] } } };
  const modelOf = (call: Call): unknown =>
    (JSON.parse(call.close().bytes('requestBody').toString()) as { model: string }).model;

  it('changes the body where headers are trusted and the policy takes the model', () => {
    room = openRoom({ ...options, settings: { trustHeaders: true } });
    expect(modelOf(placed(room, chat(), rewrite('lora')))).toBe('lora');
    expect(modelOf(placed(room, chat(), [['x-gateway-model-name-rewrite', 'lora']]))).toBe('lora');
  });

  it.each<[string, boolean, string]>([
    ['headers are not trusted', false, 'lora'],
    ['the policy does not take the model', true, 'another'],
    ['it is the same', true, 'm'],
  ])('counts for nothing where %s', (_name, trustHeaders, model) => {
    room = openRoom({ ...options, settings: { trustHeaders } });
    expect(modelOf(placed(room, chat(), rewrite(model)))).toBe('m');
  });

  it('counts for nothing where another policy takes the model', () => {
    const { profile } = openRoom().store.current.policies[0];
    const second = policy({ name: 'second', match: { models: ['n'], headers: [] }, profile });
    room = openRoom({ ...options, policies: [second], settings: { trustHeaders: true } });
    expect(modelOf(placed(room, chat(), rewrite('n')))).toBe('m');
  });

  it('does not keep a backend from its own name for the model', () => {
    room = openRoom({
      ...options,
      group: { models: ['m-fp8'] },
      settings: { trustHeaders: true },
      backend: { rewriteModel: 'm-fp8' },
    });
    expect(modelOf(placed(room, chat(), rewrite('lora')))).toBe('m-fp8');
  });
});

describe('The debug headers', () => {
  it.each<[string, boolean, Headers, boolean]>([
    ['are on the answer where the client asks and the policy allows', true, [['x-hermes-debug', '1']], true],
    ['are not where the policy does not', false, [['x-hermes-debug', '1']], false],
    ['are not where nobody asks', true, [], false],
  ])('%s', (_name, debugHeaders, headers, shown) => {
    room = openRoom({ policy: { debugHeaders } });
    const call = placed(room, chat(), headers).replyHead(200, { endOfStream: true }).halfClose();
    expect(call.sets('responseHeaders', 'x-hermes-endpoint')).toBe(shown ? 'e0' : undefined);
    expect(call.sets('responseHeaders', 'x-hermes-scores') !== undefined).toBe(shown);
  });
});

describe('What has to be asked for first', () => {
  let answer: (hits: ReadonlyMap<string, number>) => void;
  let refuse: (fault: Error) => void;
  const managerLookup: ManagerLookup = () =>
    new Promise((resolve, reject) => {
      answer = resolve;
      refuse = reject;
    });
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  beforeEach(() => {
    room = openRoom({ group: { managerLookup }, profile: { readsHits: true } });
  });

  it('is waited for', async () => {
    const call = placed(room);
    expect(call.answers).toEqual([]);
    answer(new Map());
    await turn();
    expect(call.kinds()).toEqual(['requestHeaders', 'requestBody']);
    call.close();
  });

  it('is waited for by a peer that has said all', async () => {
    const call = placed(room).halfClose();
    expect(call.ended).toBeNull();
    answer(new Map());
    await turn();
    expect(call.kinds()).toEqual(['requestHeaders', 'requestBody']);
    expect(call.ended?.status).toBe(GrpcStatus.ok);
  });

  it('is not waited for longer than the deadline', async () => {
    const call = placed(room);
    room.clock.advance(2000);
    expect(call.ended?.status).toBe(GrpcStatus.deadlineExceeded);
    answer(new Map());
    await turn();
    expect(room.states.inFlight[0]).toBe(0);
  });

  it('does not matter to a client that has left', async () => {
    const call = placed(room).close();
    answer(new Map());
    await turn();
    expect(call.answers).toEqual([]);
  });

  it('does not matter to a request that the gateway has answered meanwhile', async () => {
    const call = placed(room).replyHead(504, { endOfStream: true });
    answer(new Map());
    await turn();
    expect(call.kinds()).toEqual(['responseHeaders']);
    expect(room.finished).toMatchObject([{ status: 504, broken: true }]);
    call.close();
  });

  it('may fail then, too, and the gateway goes on with its answer', async () => {
    const call = placed(room).replyHead(504);
    refuse(new Error('a look-up'));
    await turn();
    expect(call.ended).toBeNull();
    call.replyBody('late', true).halfClose();
    expect(call.kinds()).toEqual(['responseHeaders', 'responseBody']);
  });

  it('costs the request, and not the process, where it fails against its contract', async () => {
    const call = placed(room);
    refuse(new Error('a look-up'));
    await turn();
    expect(call.error()).toBe('500 internal_error');
  });
});

describe('A group of prefillers and decoders', () => {
  const pod = (slot: number, role: string) =>
    endpoint(slot, { labels: { 'openfuyao.com/pdRole': role, 'openfuyao.com/pdGroupID': 'g' } });
  const { parts } = profile(
    {
      filters: [{ type: 'filter-by-pd-label' }],
      scorers: [],
      picker: { type: 'picker-random-pd-bucket' },
      handlers: [{ type: 'pd-header-handler' }],
    },
    readyStates(4),
    () => 0,
  );

  it('is reached by a leader, which is told of the pair; the prefiller is free with the first byte', () => {
    const endpoints = [pod(0, 'prefill'), pod(1, 'decode'), pod(2, 'leader'), pod(3, 'leader')];
    room = openRoom({ endpoints: 4, group: { endpoints }, profile: parts });
    const call = placed(room, chat(), [['x-openfuyao-decode-pod-address-port', '10.9.9.9:1']]);
    expect(call.sets('requestHeaders', 'x-gateway-destination-endpoint')).toBe('10.0.0.3:8000,10.0.0.2:8000');
    expect(call.sets('requestHeaders', 'x-openfuyao-prefill-pod-address-port')).toBe('10.0.0.0:8000');
    expect(call.sets('requestHeaders', 'x-openfuyao-decode-pod-address-port')).toBe('10.0.0.1:8000');
    expect(call.answers[0].remove).toEqual([]);
    expect([...room.states.inFlight.subarray(0, 4)]).toEqual([1, 1, 0, 1]);
    call.replyHead(200, { served: '10.0.0.2:8000' }).replyBody('x');
    expect([...room.states.inFlight.subarray(0, 4)]).toEqual([0, 1, 0, 1]);
    call.replyBody('', true).halfClose();
    expect(room.outcomes).toEqual(['3 connect_failure', '2 ok']);
  });

  it('needs a leader that the subset allows', () => {
    const endpoints = [pod(0, 'prefill'), pod(1, 'decode'), pod(2, 'leader'), pod(3, 'leader')];
    room = openRoom({ endpoints: 4, group: { endpoints }, profile: parts });
    expect(pickedOf(subset('10.0.0.3:8000'))).toBe('10.0.0.3:8000');
    expect(pickedOf(subset('10.0.0.0:8000'))).toBe('503 no_ready_endpoint');
  });
});
