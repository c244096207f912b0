import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import type { BackendGroup } from '../api/backend-group.ts';
import { decodeResource } from '../api/decode.ts';
import { createLog } from '../observability/log.ts';
import { KubeUnreachable, type KubeClient, type KubeResponse } from './kube/contract.ts';
import { SecretReader } from './secret-reader.ts';

const canary = 'canary-of-a-secret';

function group(secret: string, kvCache: object = { type: 'None' }): BackendGroup {
  const decoded = decodeResource({
    apiVersion: 'hermes-router.io/v1alpha1',
    kind: 'BackendGroup',
    metadata: { name: 'g', namespace: 'ns' },
    spec: {
      discovery: { type: 'Static', static: { endpoints: [{ name: 'e', address: '10.0.0.1:1' }] } },
      connection: { apiKeySecretRef: { name: secret, key: 'token' } },
      kvCache,
    },
  });
  if (!decoded.ok || decoded.resource.kind !== 'BackendGroup') throw new Error('no group');
  return decoded.resource;
}

const data = (text: string): KubeResponse => ({
  status: 200,
  body: { data: { token: Buffer.from(text).toString('base64') } },
});

let answers: Map<string, KubeResponse | Error>;
let asked: string[];
let clock: ManualClock;
let changes: number;
let lines: string[];
let reader: SecretReader;

const client: KubeClient = {
  namespace: 'ns',
  send: ({ path }) => {
    asked.push(path);
    const answer = answers.get(path) ?? { status: 404, body: {} };
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  },
  watch: () => () => undefined,
  close: () => undefined,
};

beforeEach(() => {
  answers = new Map();
  asked = [];
  changes = 0;
  lines = [];
  clock = new ManualClock();
  const log = createLog((line) => lines.push(line));
  reader = new SecretReader({ client, clock, log, onChange: () => (changes += 1) });
});
afterEach(() => reader.close());

const settled = () => new Promise((resolve) => setImmediate(resolve));
const path = (name: string): string => `/api/v1/namespaces/ns/secrets/${name}`;
const value = (): string | undefined => reader.secrets.get('ns/a')?.token;

async function later(): Promise<void> {
  clock.advance(5000);
  await settled();
}

describe('SecretReader', () => {
  it.each([
    [
      'the token of a KV manager',
      { type: 'Manager', manager: { url: 'http://m', tokenSecretRef: { name: 'b', key: 'k' } } },
    ],
    [
      'the password of a prefix store',
      { type: 'Approximate', prefixStore: { type: 'Redis', redis: { address: 'r:1', secretRef: { name: 'b' } } } },
    ],
  ])('reads %s, too', async (_what, kvCache) => {
    reader.want([group('a', kvCache)]);
    await settled();
    expect(asked).toEqual([path('a'), path('b')]);
  });

  it('reads what groups name, and nothing else', async () => {
    answers.set(path('a'), data('one'));
    reader.want([group('a')]);
    expect(reader.synced).toBe(false);
    await settled();
    expect(reader.synced).toBe(true);
    expect(value()).toBe('one');
    expect(asked).toEqual([path('a')]);
    expect(changes).toBe(1);
  });

  it('takes up a renewed value, and tells nothing while it stays', async () => {
    answers.set(path('a'), data('one'));
    reader.want([group('a')]);
    await settled();
    await later();
    expect(changes).toBe(1);
    answers.set(path('a'), data('two'));
    await later();
    expect(value()).toBe('two');
    expect(changes).toBe(2);
  });

  it('of very many reads ten a second', async () => {
    reader.want(Array.from({ length: 200 }, (_, i) => group(`s${i}`)));
    await settled();
    for (let second = 0; second < 100; second++) {
      clock.advance(1000);
      await settled();
    }
    expect(asked.length).toBeGreaterThan(200 + 800);
    expect(asked.length).toBeLessThanOrEqual(200 + 1000);
  });

  it('lets go of a secret that was deleted', async () => {
    answers.set(path('a'), data('one'));
    reader.want([group('a')]);
    await settled();
    answers.delete(path('a'));
    await later();
    expect(value()).toBeUndefined();
    expect(changes).toBe(2);
  });

  it.each([
    ['is away', new KubeUnreachable('no answer')],
    ['refuses', { status: 403, body: {} }],
    ['fails', { status: 500, body: {} }],
  ])('keeps what it has while the API server %s, and says so without the value', async (_name, answer) => {
    answers.set(path('a'), data(canary));
    reader.want([group('a')]);
    await settled();
    answers.set(path('a'), answer);
    await later();
    expect(value()).toBe(canary);
    expect(lines.join()).toContain('a secret cannot be read');
    expect(lines.join()).not.toContain(canary);
  });

  it('counts a secret that cannot be read as asked for: the router must come up without it', async () => {
    answers.set(path('a'), new KubeUnreachable('no answer'));
    reader.want([group('a')]);
    await settled();
    expect(reader.synced).toBe(true);
    expect(changes).toBe(1);
  });

  it('forgets secrets that no group names any more', async () => {
    answers.set(path('a'), data('one'));
    reader.want([group('a')]);
    await settled();
    reader.want([]);
    expect(reader.secrets.size).toBe(0);
    await later();
    expect(asked).toHaveLength(1);
  });

  it('leaves no timer behind', () => {
    reader.close();
    expect(clock.pending).toBe(0);
  });
});
