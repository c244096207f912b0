import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { createLog } from '../../observability/log.ts';
import { ApiServer, until } from './api-server.fixture.ts';
import { EventRecorder, type EventNote } from './events.ts';
import { HttpKubeClient } from './http-client.ts';

const path = '/apis/events.k8s.io/v1/namespaces/a/events';
const anything = () => true;

let server: ApiServer;
let clock: ManualClock;
let client: HttpKubeClient;
let recorder: EventRecorder;
let lines: string[];

beforeEach(async () => {
  server = await ApiServer.start();
  clock = new ManualClock();
  lines = [];
  client = new HttpKubeClient({ connection: server.connection, clock: new ManualClock(), version: '1' });
  recorder = new EventRecorder({
    client,
    controller: 'hermes-router.io/controller',
    instance: 'router-0',
    clock,
    log: createLog((line) => lines.push(line)),
    date: () => new Date(Date.UTC(2026, 0, 1) + clock.now()),
  });
});

afterEach(async () => {
  recorder.close();
  expect(clock.pending).toBe(0);
  client.close();
  await server.close();
});

function note(more: Partial<EventNote> = {}, name = 'p'): EventNote {
  const metadata = { name, namespace: 'a', uid: `uid-${name}`, resourceVersion: '7' };
  const regarding = { apiVersion: 'hermes-router.io/v1alpha1', kind: 'RoutingPolicy', metadata, spec: { big: true } };
  return { regarding, type: 'Normal', reason: 'Accepted', action: 'Compile', note: 'all is well', ...more };
}

/** So many calls have reached the server, and nothing more comes by itself. */
async function calls(number: number): Promise<void> {
  await until(() => server.seen.length >= number);
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  expect(server.seen).toHaveLength(number);
}

describe('an event', () => {
  it('is written at once, with all that the API server wants to know', async () => {
    recorder.record(note());
    await calls(1);
    const { body } = server.seen[0];
    expect(server.seen[0]).toMatchObject({ method: 'POST', path });
    expect(body).toEqual({
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: body.metadata.name, namespace: 'a' },
      eventTime: '2026-01-01T00:00:01.000000Z',
      reportingController: 'hermes-router.io/controller',
      reportingInstance: 'router-0',
      type: 'Normal',
      reason: 'Accepted',
      action: 'Compile',
      note: 'all is well',
      regarding: {
        apiVersion: 'hermes-router.io/v1alpha1',
        kind: 'RoutingPolicy',
        name: 'p',
        namespace: 'a',
        uid: 'uid-p',
        resourceVersion: '7',
      },
    });
    expect(body.metadata.name).toMatch(/^p\.[0-9a-f]{16}$/);
  });

  it('that comes again is written once a minute, as a series of the same', async () => {
    recorder.record(note());
    await calls(1);
    for (let second = 1; second < 60; second += 1) {
      clock.advance(1000);
      recorder.record(note());
    }
    await calls(1);
    clock.advance(1000);
    await calls(2);
    const series = { count: 60, lastObservedTime: '2026-01-01T00:01:01.000000Z' };
    expect(server.seen[1]).toMatchObject({ method: 'PATCH', body: { series } });
    expect(server.seen[1]?.headers['content-type']).toBe('application/merge-patch+json');
    expect(server.seen[1]?.path).toBe(`${path}/${server.seen[0]?.body.metadata.name}`);
    recorder.record(note());
    clock.advance(60_000);
    await calls(3);
    expect(server.seen[2]?.body.series?.count).toBe(61);
  });

  it('with other words is one of its own, with the newest words, once a minute', async () => {
    recorder.record(note());
    recorder.record(note({ note: 'second' }));
    recorder.record(note({ note: 'third' }));
    await calls(1);
    clock.advance(60_000);
    await calls(2);
    expect(server.seen[1]).toMatchObject({ method: 'POST', body: { note: 'third', series: { count: 2 } } });
  });

  it('is another for another object, reason or type', async () => {
    recorder.record(note());
    recorder.record(note({ reason: 'Refused' }));
    recorder.record(note({ type: 'Warning' }));
    recorder.record(note({}, 'q'));
    for (let written = 1; written <= 4; written += 1) {
      await calls(written);
      clock.advance(100);
    }
    await calls(4);
  });

  it('is forgotten after a quiet minute, so that nothing grows', async () => {
    recorder.record(note());
    await calls(1);
    clock.advance(60_000);
    expect(clock.pending).toBe(0);
    recorder.record(note());
    await calls(2);
    expect(server.seen[1]?.method).toBe('POST');
  });

  it('that the API server has forgotten is written anew', async () => {
    recorder.record(note());
    await calls(1);
    recorder.record(note());
    server.remove(path, server.seen[0]?.body.metadata.name);
    clock.advance(60_000);
    await calls(3);
    expect(server.seen.map(({ method }) => method)).toEqual(['POST', 'PATCH', 'POST']);
    expect(recorder.failures).toBe(0);
  });

  it('about what has no namespace lives in default, and its words are cut to what the server takes', async () => {
    const regarding = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n'.repeat(253) } };
    recorder.record(note({ regarding, note: 'ö'.repeat(600) }));
    await calls(1);
    const { body, path: at } = server.seen[0];
    expect(at).toBe('/apis/events.k8s.io/v1/namespaces/default/events');
    expect(body.metadata.namespace).toBe('default');
    expect(body.metadata.name.length).toBeLessThan(253);
    expect(body.note).toBe('ö'.repeat(512));
  });
});

describe('a recorder', () => {
  it('writes one event at a time, ten a second, however many come', async () => {
    for (let index = 0; index < 50; index += 1) recorder.record(note({}, `p${index}`));
    for (let written = 1; written <= 50; written += 1) {
      await calls(written);
      clock.advance(99);
      await calls(written);
      clock.advance(1);
    }
    await calls(50);
  });

  it('counts what the server does not take and goes on', async () => {
    server.once(anything, { status: 403, body: { message: 'you must not' } });
    recorder.record(note());
    await calls(1);
    server.once(anything, 'cut');
    recorder.record(note({}, 'q'));
    clock.advance(100);
    await calls(2);
    recorder.record(note({}, 'r'));
    clock.advance(100);
    await calls(3);
    expect(recorder.failures).toBe(2);
    expect(lines.some((line) => line.includes('you must not'))).toBe(true);
    expect(server.get(path, server.seen[2]?.body.metadata.name)).toBeDefined();
  });

  it('holds a bounded number and counts what it drops', async () => {
    server.always(anything, 'hang');
    for (let index = 0; index < 2010; index += 1) recorder.record(note({}, `p${index}`));
    await calls(1);
    expect(recorder.failures).toBe(10);
  });

  it('writes nothing more when it is closed', async () => {
    recorder.record(note());
    recorder.record(note({}, 'q'));
    await calls(1);
    recorder.close();
    recorder.record(note({}, 'r'));
    clock.advance(120_000);
    await calls(1);
  });
});
