import { describe, expect, it } from 'vitest';
import { endpoint, group } from '../../test/fixtures/fleet.ts';
import type { Connection } from '../router/policy.ts';
import { RoutingTable } from '../router/table.ts';
import { Targets } from './targets.ts';

const plain: Connection = { scheme: 'http', forwardAuthorization: false };
const tls: Connection = { scheme: 'https', ca: 'PEM', serverName: 'engine', forwardAuthorization: false };

describe('Targets', () => {
  const addresses: [string, string, number][] = [
    ['10.0.0.1:8000', '10.0.0.1', 8000],
    ['engine.local:80', 'engine.local', 80],
    ['[::1]:9001', '::1', 9001],
    ['[fd00::1:2]:9001', 'fd00::1:2', 9001],
  ];
  it.each(addresses)('reads %s', (address, host, port) => {
    expect(new Targets().of(endpoint(0, { address }), plain)).toEqual({ host, port });
  });

  const connections: [string, Connection, object][] = [
    ['no TLS for http', { ...plain, ca: 'PEM' }, {}],
    ['TLS with the authorities and the name', tls, { tls: { ca: 'PEM', serverName: 'engine' } }],
    ['TLS with what the system trusts', { scheme: 'https', forwardAuthorization: false }, { tls: {} }],
  ];
  it.each(connections)('has %s', (_name, connection, wanted) => {
    expect(new Targets().of(endpoint(0), connection)).toEqual({ host: '10.0.0.0', port: 8000, ...wanted });
  });

  const changes: [string, Connection, boolean][] = [
    ['the same connection in a new table', { ...tls }, true],
    ['a new API key', { ...tls, apiKey: 'k' }, true],
    ['a forwarded Authorization', { ...tls, forwardAuthorization: true }, true],
    ['another scheme', plain, false],
    ['other authorities', { ...tls, ca: 'other' }, false],
    ['another server name', { ...tls, serverName: 'other' }, false],
  ];
  it.each(changes)('for %s keeps the target: %#', (_name, connection, kept) => {
    const targets = new Targets();
    const one = endpoint(0);
    const before = targets.of(one, tls);
    const after = targets.of(one, connection);
    expect(after === before).toBe(kept);
    expect(targets.of(one, connection)).toBe(after);
  });

  it('gives endpoints of one address a target each', () => {
    const targets = new Targets();
    expect(targets.of(endpoint(0, { address: 'a:1' }), plain)).not.toBe(
      targets.of(endpoint(1, { address: 'a:1' }), plain),
    );
  });

  it('lists the targets of a table, the very ones that requests use', () => {
    const targets = new Targets();
    const [a, b, gone] = [endpoint(0), endpoint(1), endpoint(2)];
    const known = [a, b, gone].map((one) => targets.of(one, plain));
    const groups = [group({ name: 'g1', endpoints: [a] }), group({ name: 'g2', endpoints: [b] })];
    const table = new RoutingTable(1, [], new Map(groups.map((one) => [one.key, one])));
    expect([...targets.inTable(table)]).toEqual(known.slice(0, 2));
  });
});
