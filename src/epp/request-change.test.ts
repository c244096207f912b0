import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { books, Call, chat, emptyBooks, openRoom, placed, type Headers, type Room } from './picker.fixture.ts';

let room: Room;

beforeEach(() => {
  room = openRoom();
});

afterEach(() => {
  expect(books(room)).toEqual(emptyBooks);
});

/** What the first answer sets and removes, of a request with these headers. */
function changed(headers: Headers, path?: string): { set: Record<string, string>; remove: string[] } {
  const call = new Call(room)
    .head({ headers, ...(path === undefined ? {} : { path }) })
    .body(chat(), true)
    .close();
  const { set, remove } = call.answers[0];
  return { set: Object.fromEntries(set.map(({ name, value }) => [name, value])), remove: [...remove] };
}

describe('requestChange', () => {
  it('takes away what steers engines, sidecars and gateways, and what would hide usage', () => {
    const { set, remove } = changed([
      ['x-gateway-destination-endpoint', '10.9.9.9:1'],
      ['x-gateway-destination-endpoint-subset', '10.9.9.9:1'],
      ['x-openfuyao-prefill-pod-address-port', '10.9.9.9:1'],
      ['x-prefiller-host-port', '10.9.9.9:1'],
      ['x-llm-d-inference-fairness-id', 'a'],
      ['x-hermes-debug', '1'],
      ['accept-encoding', 'gzip'],
      ['authorization', 'Bearer secret'],
      ['x-session-id', 's'],
      ['user-agent', 'curl'],
    ]);
    expect(set['x-gateway-destination-endpoint']).toContain('10.0.0.0:8000');
    expect(remove.sort()).toEqual([
      'accept-encoding',
      'authorization',
      'x-gateway-destination-endpoint-subset',
      'x-hermes-debug',
      'x-llm-d-inference-fairness-id',
      'x-openfuyao-prefill-pod-address-port',
      'x-prefiller-host-port',
    ]);
  });

  it('changes nothing that need not change', () => {
    const { set, remove } = changed([
      ['x-request-id', 'abc'],
      ['content-type', 'application/json'],
    ]);
    expect(Object.keys(set).sort()).toEqual(['content-length', 'x-gateway-destination-endpoint']);
    expect(remove).toEqual([]);
  });

  it.each(['', 'ä', 'a b', 'x'.repeat(129)])('replaces a request id that cannot be written everywhere: %j', (id) => {
    expect(changed([['x-request-id', id]]).set['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('asks engines for the path that they know, with the query', () => {
    expect(changed([], '/rest/hermes-router/v1beta1/v1/chat/completons?a=1').set[':path']).toBe(
      '/v1/chat/completions?a=1',
    );
    expect(changed([], '/v1/chat/completions?a=1').set[':path']).toBeUndefined();
  });

  it.each([
    ["the engines' key stands in for the client's", { apiKey: 'k', forwardAuthorization: true }, 'Bearer k', false],
    ["the client's goes on where the group says so", { forwardAuthorization: true }, undefined, false],
    ["the client's does not go on otherwise", { forwardAuthorization: false }, undefined, true],
  ])('authorization: %s', (_name, connection, value, isRemoved) => {
    room = openRoom({ group: { connection: { scheme: 'http', ...connection } } });
    const { set, remove } = changed([['authorization', 'Bearer secret']]);
    expect(set.authorization).toBe(value);
    expect(remove.includes('authorization')).toBe(isRemoved);
  });

  it('the id is the one on the answer', () => {
    const call = placed(room, chat(), [['x-request-id', 'abc']]).replyHead(200, { endOfStream: true });
    expect(call.sets('responseHeaders', 'x-request-id')).toBe('abc');
    call.close();
  });
});
