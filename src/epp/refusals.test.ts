import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { endpoints, group, backend, policy } from '../../test/fixtures/fleet.ts';
import { Flag } from '../router/states.ts';
import { GrpcStatus } from './carrier/carrier.ts';
import {
  books,
  Call,
  chat,
  emptyBooks,
  openRoom,
  placed,
  type Headers,
  type Room,
  type RoomOptions,
} from './picker.fixture.ts';

let room: Room;

beforeEach(() => {
  room = openRoom();
});

afterEach(() => {
  expect(books(room)).toEqual(emptyBooks);
});

interface Refused {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Headers;
  readonly body?: string;
  readonly room?: RoomOptions;
  readonly allow?: string;
  readonly retryAfter?: string;
}

const low: Headers = [['x-llm-d-inference-objective', 'batch']];
const full = (one: Room): void => {
  for (let slot = 0; slot < 3; slot++) one.states.usage[slot] = 0.9;
};

const other = policy({ name: 'other', match: { models: ['n'], headers: [] } });

describe('Refusals', () => {
  it.each<[string, Refused]>([
    ['400 invalid_json', { body: '{' }],
    ['400 invalid_json', { body: '[]' }],
    ['400 invalid_value', { body: '{"model":1}' }],
    ['400 invalid_value', { body: '{"model":"m","model":"m"}' }],
    ['400 invalid_value', { body: chat('m', { kv_transfer_params: { do_remote_prefill: true } }) }],
    [
      '400 missing_model',
      { body: '{}', room: { group: { models: ['m', 'n'] }, policy: { match: { models: [], headers: [] } } } },
    ],
    ['404 unknown_url', { path: '/load_lora_adapter' }],
    ['404 unknown_url', { path: '/', method: 'GET' }],
    ['405 method_not_allowed', { method: 'GET', allow: 'POST' }],
    ['405 method_not_allowed', { path: '/v1/models', allow: 'GET' }],
    ['415 unsupported_media_type', { headers: [['content-type', 'text/plain']] }],
    ['404 model_not_found', { body: chat('unknown') }],
    ['404 model_not_found', { path: '/v1/models/unknown', method: 'GET' }],
    ['413 request_too_large', { headers: [['content-length', '101']], room: { maxBody: 100 } }],
    ['413 request_too_large', { body: 'x'.repeat(101), room: { maxBody: 100 } }],
    ['503 overloaded', { room: { maxBuffered: 10 }, retryAfter: '1' }],
    ['503 no_ready_endpoint', { room: { endpoints: 0 }, retryAfter: '1' }],
    ['503 policy_invalid', { body: chat('n'), room: { policies: [other] }, retryAfter: '1' }],
    [
      '500 internal_error',
      {
        room: {
          profile: {
            picker: {
              pick: () => {
                throw new Error('a plugin');
              },
            },
          },
        },
      },
    ],
  ])('%s: %j', (wanted, { path, method, headers, body = chat(), room: options = {}, allow, retryAfter }) => {
    room = openRoom(options);
    const call = new Call(room);
    call.head({
      ...(path === undefined ? {} : { path }),
      ...(method === undefined ? {} : { method }),
      ...(headers === undefined ? {} : { headers }),
    });
    if (call.ended === null) call.body(body).body('', true);
    expect(call.error()).toBe(wanted);
    expect(call.kinds()).toEqual(['immediate']);
    expect(call.ended).toEqual({ status: GrpcStatus.ok, message: '' });
    const code = wanted.split(' ')[1];
    expect(call.answers[0].details).toBe(code);
    expect(call.sets('immediate', 'x-hermes-reason')).toBe(code);
    expect(call.sets('immediate', 'content-type')).toBe('application/json');
    expect(call.sets('immediate', 'x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect(call.sets('immediate', 'allow')).toBe(allow);
    expect(call.sets('immediate', 'retry-after')).toBe(retryAfter);
    expect(room.refused.length + room.finished.length).toBe(1);
  });

  it('429 saturated: a negative priority waits while the engines have no room', () => {
    room = openRoom({ settings: { priorityOf: (name) => (name === 'batch' ? -1 : 0) } });
    placed(room, chat(), low).close();
    full(room);
    const call = placed(room, chat(), low);
    expect(call.error()).toBe('429 saturated');
    expect(call.sets('immediate', 'retry-after')).toBe('1');
    expect(placed(room, chat(), [['x-gateway-inference-objective', 'batch']]).error()).toBe('429 saturated');
    for (const headers of [[], [['x-llm-d-inference-objective', 'chat']]] as Headers[]) {
      const other = placed(room, chat(), headers);
      expect(other.error()).toBe('none');
      other.close();
    }
  });

  it('429 saturated: only engines that the subset allows have to have room', () => {
    room = openRoom({ settings: { priorityOf: () => -1 } });
    room.states.usage[1] = 0.9;
    const hinted = (address: string): Call =>
      new Call(room)
        .head({
          headers: low,
          metadata: { 'envoy.lb.subset_hint': { 'x-gateway-destination-endpoint-subset': address } },
        })
        .body(chat(), true)
        .close();
    expect(hinted('10.0.0.1:8000').error()).toBe('429 saturated');
    expect(hinted('10.0.0.2:8000').error()).toBe('none');
  });

  it('503 no_ready_endpoint, not 404, while no engine has told its models', () => {
    room = openRoom({ endpoints: 0, group: { models: [] }, policy: { match: { models: [], headers: [] } } });
    expect(placed(room).error()).toBe('503 no_ready_endpoint');
  });

  it('503 no_ready_endpoint where no engine is ready', () => {
    for (let slot = 0; slot < 3; slot++) room.states.set(slot, Flag.healthy, false);
    expect(placed(room).error()).toBe('503 no_ready_endpoint');
    expect(room.finished).toMatchObject([{ status: 503, broken: true, group: '' }]);
  });

  it('500 internal_error says nothing of the fault to the client, and all of it to the log', () => {
    room = openRoom({
      profile: {
        picker: {
          pick: () => {
            throw new Error('canary');
          },
        },
      },
    });
    const call = placed(room);
    expect(call.answers[0].body.toString()).not.toContain('canary');
    expect(room.logged.join()).toContain('canary');
  });

  it('keep the id that the client sent', () => {
    const call = placed(room, '{', [['x-request-id', 'abc-1']]);
    expect(call.sets('immediate', 'x-request-id')).toBe('abc-1');
  });
});

describe('Requests without a body', () => {
  const bodiless = (metadata = {}): Call => new Call(room).head({ endOfStream: true, metadata });
  const hint = (value: string | string[]): object => ({
    'envoy.lb.subset_hint': { 'x-gateway-destination-endpoint-subset': value },
  });

  it('go to an endpoint of the subset', () => {
    const call = bodiless(hint('10.0.0.1:8000'));
    expect(call.sets('requestHeaders', 'x-gateway-destination-endpoint')).toBe('10.0.0.1:8000');
    expect(call.sets('requestHeaders', 'content-length')).toBeUndefined();
    call.close();
  });

  it.each<[string, RoomOptions, object]>([
    ['empty', { endpoints: 0 }, {}],
    [
      'empty and knows no model yet',
      { endpoints: 0, group: { models: [] }, policy: { match: { models: [], headers: [] } } },
      {},
    ],
    ['there, and the subset is empty', {}, hint([])],
    ['there, and the subset is elsewhere', {}, hint('10.9.9.9:8000')],
  ])('are answered 503 where the pool is %s', (_name, options, metadata) => {
    room = openRoom(options);
    expect(bodiless(metadata).error()).toBe('503 no_ready_endpoint');
  });

  it('need no model where one policy takes every model', () => {
    room = openRoom({ group: { models: ['a', 'b'] }, policy: { match: { models: ['*'], headers: [] } } });
    const call = bodiless();
    expect(call.kinds()).toEqual(['requestHeaders']);
    call.close();
  });

  it('are answered 400 where more than one model is routable and no policy takes them all', () => {
    const second = group({ name: 'second', models: ['n'], endpoints: endpoints(1, 1) });
    room = openRoom({
      policies: [
        policy({
          name: 'n',
          match: { models: ['n'], headers: [] },
          backends: [backend({ group: second })],
          profile: room.store.current.policies[0].profile,
        }),
      ],
    });
    expect(bodiless().error()).toBe('400 missing_model');
  });
});

describe('The table answers by itself', () => {
  it.each([
    ['/v1/models', { object: 'list', data: [{ id: 'm' }] }],
    ['/rest/hermes-router/v1beta1/v1/models', { object: 'list' }],
    ['/v1/models/m', { id: 'm', object: 'model' }],
  ])('%s', (path, wanted) => {
    const call = new Call(room).head({ path, method: 'GET', endOfStream: true });
    expect(call.answers).toMatchObject([{ kind: 'immediate', status: 200 }]);
    expect(JSON.parse(call.answers[0].body.toString())).toMatchObject(wanted);
    expect(call.ended?.status).toBe(GrpcStatus.ok);
  });
});
