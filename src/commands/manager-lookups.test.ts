import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import type { BackendGroup } from '../api/backend-group.ts';
import { decodeResource } from '../api/decode.ts';
import type { Secrets } from '../controller/secrets.ts';
import { createLog } from '../observability/log.ts';
import type { LookupQuery } from '../router/foreknowledge.ts';
import { ManagerLookups, type ManagerLookupsOptions } from './manager-lookups.ts';

const query: LookupQuery = { model: 'm', path: '/v1/completions', body: { prompt: 'hi' }, candidates: [] };
const withToken = { tokenSecretRef: { name: 'indexer', key: 'token' } };

let manager: Server;
let url: string;
/** Authorization of each question, and the status that it is answered with. */
let sent: (string | undefined)[];
let status: number;
let lines: string[];
let lookups: ManagerLookups;

beforeEach(async () => {
  sent = [];
  status = 200;
  lines = [];
  manager = createServer((request, response) => {
    sent.push(request.headers.authorization);
    response.writeHead(status).end('{"matches": []}');
  });
  await new Promise<void>((resolve) => manager.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(manager.address() as AddressInfo).port}`;
  lookups = new ManagerLookups({ clock: new ManualClock(), log: createLog((line) => lines.push(line)) });
});

afterEach(async () => {
  lookups.retain(new Set());
  manager.closeAllConnections();
  await new Promise((resolve) => manager.close(resolve));
});

const group = (more: object = {}, name = 'g'): BackendGroup => managedBy({ url, ...more }, name);

function managedBy(manager: object, name = 'g'): BackendGroup {
  const decoded = decodeResource({
    apiVersion: 'hermes-router.io/v1alpha1',
    kind: 'BackendGroup',
    metadata: { name, namespace: 'ns' },
    spec: {
      discovery: { type: 'Static', static: { endpoints: [{ name: 'e', address: '10.0.0.1:1' }] } },
      kvCache: { type: 'Manager', manager },
    },
  });
  if (!decoded.ok || decoded.resource.kind !== 'BackendGroup') throw new Error(JSON.stringify(decoded));
  return decoded.resource;
}

const holding = (token: string): Secrets => new Map([['ns/indexer', { token }]]);
const nothing: Secrets = new Map();

/** Every name leads to loopback while a test runs: a resolver that somebody else has a say in. */
function resolveToLoopback(): void {
  vi.spyOn(dns, 'lookup').mockImplementation(((_host: string, options: dns.LookupAllOptions, done: Done) => {
    if (options.all) done(null, [{ address: '127.0.0.1', family: 4 }]);
    else done(null, '127.0.0.1', 4);
  }) as typeof dns.lookup);
  syncBuiltinESMExports();
  onTestFinished(() => {
    vi.restoreAllMocks();
    syncBuiltinESMExports();
  });
}

type Done = (error: null, address: dns.LookupAddress[] | string, family?: number) => void;

describe('the Service of a KV manager', () => {
  const ask = async (discovery: ManagerLookupsOptions['discovery']): Promise<ManagerLookups> => {
    const { port } = manager.address() as AddressInfo;
    const log = createLog((line) => lines.push(line));
    const made = new ManagerLookups({
      clock: new ManualClock(),
      log,
      ...(discovery === undefined ? {} : { discovery }),
    });
    await made.of(managedBy({ service: { name: 'x', port } }), nothing)(query);
    made.retain(new Set());
    return made;
  };

  it('is asked nothing where its name leads to what discovery refuses, and the log says so', async () => {
    resolveToLoopback();
    await ask({});
    expect(sent).toHaveLength(1);
    const { failures } = await ask({
      refusalOf: ({ namespace, name }, address) => `${namespace}/${name} is not at ${address}`,
    });
    expect([...failures]).toEqual([['unreachable', 1]]);
    expect(lines.join()).toContain('ns/x is not at 127.0.0.1');
    expect(sent).toHaveLength(1);
  });
});

describe('the token of a KV manager', () => {
  it('goes with every question; a renewed one at once, over the same connections', async () => {
    const first = lookups.of(group(withToken), holding('first\n'));
    await first(query);
    const second = lookups.of(group(withToken), holding('second'));
    await first(query);
    expect([sent, second === first, lines]).toEqual([['Bearer first', 'Bearer second'], true, []]);
  });

  it('is not sent where none is named, or any more', async () => {
    await lookups.of(group(), holding('first'))(query);
    await lookups.of(group(withToken), holding('first'))(query);
    await lookups.of(group(), holding('first'))(query);
    expect(sent).toEqual([undefined, 'Bearer first', undefined]);
  });

  it.each([
    ['is missing', nothing, 'key token of Secret indexer'],
    ['of two lines is none', holding('a\nb'), 'a value of visible ASCII in Secret indexer'],
  ])('that %s is told of once for each group, and the question goes without', async (_name, secrets, secret) => {
    for (let i = 0; i < 3; i++) {
      for (const name of ['g', 'h']) await lookups.of(group(withToken, name), secrets)(query);
    }
    expect(sent).toEqual(Array(6).fill(undefined));
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(
      ['ns/g', 'ns/h'].map((key) => ({
        level: 'warn',
        msg: 'a secret is missing; the KV manager is asked without a token',
        group: key,
        secret,
      })),
    );
  });

  it('is told of again when it goes missing again', () => {
    for (const secrets of [nothing, holding('a'), nothing]) lookups.of(group(withToken), secrets);
    expect(lines).toHaveLength(2);
  });

  it('that is refused is a failure and a trouble until it is taken', async () => {
    status = 401;
    const lookup = lookups.of(group(withToken), holding('wrong'));
    await lookup(query);
    expect([lookups.troubles(), lookups.failures]).toEqual([new Map([['ns/g', 'status']]), new Map([['status', 1]])]);
    status = 200;
    await lookup(query);
    expect(lookups.troubles()).toEqual(new Map([['ns/g', null]]));
    expect(lines.join()).not.toContain('wrong');
  });
});
