import type { LookupAddress } from 'node:dns';
import { connect, createServer, type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { guardedLookup, TargetRefusedError, type Refusal } from './guarded-lookup.ts';

const loopback: Refusal = (address) => (address.startsWith('127.') ? `nobody may reach ${address}` : null);
const found = (...addresses: string[]): LookupAddress[] => addresses.map((address) => ({ address, family: 4 }));

function looked(addresses: LookupAddress[], all: boolean): unknown[] {
  const told: unknown[] = [];
  const lookup = guardedLookup(
    loopback,
    (message) => told.push(message),
    (_host, _options, done) => done(null, addresses),
  );
  lookup('a.ns', { all }, (error, ...rest) => told.push(error instanceof Error ? error.name : error, ...rest));
  return told;
}

describe('a guarded lookup', () => {
  it('leaves out what is refused', () => {
    expect(looked(found('127.0.0.1', '10.0.0.1'), true)).toEqual([null, found('10.0.0.1')]);
    expect(looked(found('127.0.0.1', '10.0.0.1'), false)).toEqual([null, '10.0.0.1', 4]);
  });

  it('finds nothing where all is refused, and says why', () => {
    expect(looked(found('127.0.0.1', '127.0.0.2'), true)).toEqual([
      'nobody may reach 127.0.0.1',
      'TargetRefusedError',
      [],
    ]);
    expect(looked([], true)).toEqual(['a.ns has no address', 'TargetRefusedError', []]);
  });

  it('passes on that a name is not known', () => {
    const lookup = guardedLookup(
      loopback,
      () => undefined,
      (_host, _options, done) => done(new Error('ENOTFOUND'), []),
    );
    lookup('gone', {}, (error) => expect(error?.message).toBe('ENOTFOUND'));
    expect.assertions(1);
  });

  it('keeps a connection from being made, by the name that the system resolves', async () => {
    let reached = 0;
    const server = createServer(() => (reached += 1)).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const refused: string[] = [];
    const ipv6: Refusal = (address) => (address === '::1' ? 'nor its twin' : loopback(address));
    const socket = connect({
      host: 'localhost',
      port,
      lookup: guardedLookup(ipv6, (message) => refused.push(message)),
    });
    const error = await new Promise((resolve) => socket.once('error', resolve));
    expect(error).toBeInstanceOf(TargetRefusedError);
    expect(refused).toHaveLength(1);
    await new Promise((resolve) => server.close(resolve));
    expect(reached).toBe(0);
  });
});
