import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { createLog } from '../../observability/log.ts';
import type { KubeAccount } from './account.ts';
import { ApiServer, until, type Seen } from './api-server.fixture.ts';
import { HttpKubeClient } from './http-client.ts';
import { LeaderElection } from './leader-election.ts';

const leases = '/apis/coordination.k8s.io/v1/namespaces/a/leases';
const anything = () => true;
const isWrite = ({ method }: Seen): boolean => method !== 'GET';

let server: ApiServer;
let clock: ManualClock;
let wire: ManualClock;
let lines: string[];
let replicas: Replica[];
let account: KubeAccount | null;

/** A replica with its election and its own way to the server. */
class Replica {
  readonly told: string[] = [];
  readonly client: HttpKubeClient;
  readonly election: LeaderElection;
  readonly identity: string;

  constructor(identity: string) {
    this.identity = identity;
    this.client = new HttpKubeClient({ connection: server.connection, clock: wire, version: '1' });
    this.election = new LeaderElection({
      client: this.client,
      namespace: 'a',
      name: 'leader',
      account: () => Promise.resolve(account),
      identity,
      onGained: () => this.told.push('gained'),
      onLost: () => this.told.push('lost'),
      clock,
      log: createLog((line) => lines.push(line)),
      random: () => 0.5,
      date: () => new Date(Date.UTC(2026, 0, 1) + clock.now()),
    });
    replicas.push(this);
  }
}

const lease = () => server.get(leases, 'leader').spec ?? {};
const leaders = (): string[] => replicas.filter(({ election }) => election.leading).map(({ identity }) => identity);

/** Every call under way has ended. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  await until(() => wire.pending === 0);
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
}

/** Time goes on in small steps, each with whatever calls it leads to. */
async function pass(milliseconds: number, step = 500): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += step) {
    clock.advance(Math.min(step, milliseconds - passed));
    await settled();
    expect(leaders().length).toBeLessThanOrEqual(1);
  }
}

async function started(...identities: string[]): Promise<Replica[]> {
  const made: Replica[] = [];
  for (const identity of identities) {
    const replica = new Replica(identity);
    replica.election.start();
    await settled();
    made.push(replica);
  }
  return made;
}

beforeEach(async () => {
  server = await ApiServer.start();
  clock = new ManualClock();
  wire = new ManualClock();
  lines = [];
  replicas = [];
  account = null;
});

afterEach(async () => {
  for (const { election, client } of replicas) {
    election.close();
    client.close();
  }
  await settled();
  expect(clock.pending).toBe(0);
  await server.close();
});

describe('an election', () => {
  it('makes the Lease and leads, and writes itself down as client-go does', async () => {
    const [one] = await started('one');
    expect(one.told).toEqual(['gained']);
    expect(lease()).toEqual({
      holderIdentity: 'one',
      leaseDurationSeconds: 11,
      acquireTime: '2026-01-01T00:00:01.000000Z',
      renewTime: '2026-01-01T00:00:01.000000Z',
      leaseTransitions: 0,
    });
    await pass(2000);
    expect(lease()).toMatchObject({
      acquireTime: '2026-01-01T00:00:01.000000Z',
      renewTime: '2026-01-01T00:00:03.000000Z',
      leaseTransitions: 0,
    });
  });

  it('has a Lease that goes with the service account that made it', async () => {
    account = { namespace: 'a', name: 'hermes-router', uid: 'u' };
    await started('one');
    const owner = { apiVersion: 'v1', kind: 'ServiceAccount', name: 'hermes-router', uid: 'u' };
    expect(server.get(leases, 'leader').metadata).toMatchObject({ ownerReferences: [owner] });
    await pass(2000);
    expect(server.get(leases, 'leader').metadata).toMatchObject({ ownerReferences: [owner] });
  });

  it('has a Lease of nobody where the account is of another namespace', async () => {
    account = { namespace: 'b', name: 'hermes-router', uid: 'u' };
    const [one] = await started('one');
    expect(one.election.leading).toBe(true);
    expect(server.get(leases, 'leader').metadata).not.toHaveProperty('ownerReferences');
  });

  it('has one leader among three for as long as it lives, which needs one call each two seconds', async () => {
    const [one] = await started('one', 'two', 'three');
    const before = server.seen.length;
    await pass(60_000);
    expect(leaders()).toEqual(['one']);
    expect(one.told).toEqual(['gained']);
    expect(server.seen.length - before).toBe(90);
    expect(replicas[1]?.election.holder).toBe('one');
    expect(lease().leaseTransitions).toBe(0);
  });

  it('gives a released Lease to another within a retry period', async () => {
    const [one] = await started('one', 'two');
    await pass(10_500);
    await one.election.release();
    expect(one.told).toEqual(['gained', 'lost']);
    expect(lease()).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 });
    await pass(2000);
    expect(leaders()).toEqual(['two']);
    expect(lease()).toMatchObject({ holderIdentity: 'two', leaseDurationSeconds: 11, leaseTransitions: 1 });
    const sent = server.seen.length;
    await pass(10_000);
    // The one that released asks no more.
    expect(server.seen.length - sent).toBe(5);
  });

  it('has another leader within 15 seconds after a death, at the moment the Lease has run out', async () => {
    const [one, two] = await started('one', 'two');
    await pass(10_000);
    one.election.close();
    const died = clock.now();
    while (!two.election.leading) await pass(100, 100);
    expect(clock.now() - died).toBeGreaterThan(8000);
    expect(clock.now() - died).toBeLessThan(14_000);
    expect(lease().leaseTransitions).toBe(1);
  });

  it('counts the age of the Lease from its own look at it, whatever the times in it say', async () => {
    const spec = {
      holderIdentity: 'ghost',
      leaseDurationSeconds: 11,
      renewTime: '1999-01-01T00:00:00.000000Z',
      leaseTransitions: 7,
    };
    server.put(leases, { metadata: { name: 'leader', labels: { kept: 'yes' } }, spec });
    const [one] = await started('one');
    await pass(10_900, 100);
    expect(one.election.leading).toBe(false);
    await pass(100, 100);
    expect(one.election.leading).toBe(true);
    expect(lease().leaseTransitions).toBe(8);
    expect(server.get(leases, 'leader').metadata.labels).toEqual({ kept: 'yes' });
  });

  it('takes its own Lease again after a restart without waiting', async () => {
    await started('one');
    replicas[0].election.close();
    const [again] = await started('one');
    expect(again.told).toEqual(['gained']);
    expect(lease().leaseTransitions).toBe(0);
  });

  it('steps down before its Lease runs out for others when the server is away, and calls no faster for it', async () => {
    const [one, two] = await started('one', 'two');
    await pass(4000);
    const back = server.always(anything, 'cut');
    const before = server.seen.length;
    await pass(7900, 100);
    expect(one.told).toEqual(['gained']);
    await pass(200, 100);
    expect(one.told).toEqual(['gained', 'lost']);
    await pass(600_000 - 8100);
    // Two replicas, ten minutes, a call each two seconds.
    expect(server.seen.length - before).toBeGreaterThan(590);
    expect(server.seen.length - before).toBeLessThanOrEqual(600);
    expect(lines.filter((line) => line.includes('the lease cannot be kept')).length).toBeLessThan(5);
    back();
    await pass(4000);
    expect(leaders()).toHaveLength(1);
    expect([...one.told, ...two.told].filter((told) => told === 'gained')).toHaveLength(2);
  });

  it('steps down when its calls hang, for its deadline does not wait for them', async () => {
    const [one] = await started('one');
    server.always(anything, 'hang');
    clock.advance(2000);
    await until(() => server.seen.length === 3);
    clock.advance(5999);
    expect(one.election.leading).toBe(true);
    clock.advance(1);
    expect(one.told).toEqual(['gained', 'lost']);
    wire.advance(4000);
  });

  it('lets a call that hangs go in time for another', async () => {
    const [one] = await started('one');
    server.once(anything, 'hang');
    clock.advance(2000);
    await until(() => server.seen.length === 3);
    clock.advance(4000);
    wire.advance(4000);
    await settled();
    await pass(2000);
    expect(one.told).toEqual(['gained']);
    await pass(7000);
    expect(one.told).toEqual(['gained']);
  });

  it('steps down at once when it sees another holding the Lease', async () => {
    const [one] = await started('one');
    const held = server.get(leases, 'leader');
    server.put(leases, { ...held, spec: { ...held.spec, holderIdentity: 'thief' } });
    await pass(2000);
    expect(one.told).toEqual(['gained', 'lost']);
    expect(one.election.holder).toBe('thief');
  });

  it('goes on leading when somebody edits or deletes its Lease', async () => {
    const [one] = await started('one');
    server.put(leases, { ...server.get(leases, 'leader'), note: 'edited' });
    await pass(2000);
    server.remove(leases, 'leader');
    await pass(2000);
    expect(one.told).toEqual(['gained']);
    expect(lease().holderIdentity).toBe('one');
  });

  it('has one winner when two make or take the Lease at the same time', async () => {
    const [one, two] = [new Replica('one'), new Replica('two')];
    one.election.start();
    two.election.start();
    await settled();
    expect(leaders()).toHaveLength(1);
    expect(lines.some((line) => line.includes('cannot be kept'))).toBe(false);
    await pass(10_000);
    expect(leaders()).toHaveLength(1);
    expect(lease().holderIdentity).toBe(leaders()[0]);
  });

  it('leaves a busy server alone for as long as it asks, only the leader tries before its time is over', async () => {
    const [one] = await started('one', 'two');
    const before = server.seen.length;
    const stop = server.always(anything, { status: 429, headers: { 'retry-after': '5' } });
    await pass(5000);
    expect(server.count(isWrite)).toBe(3);
    expect(server.seen.length - before).toBe(3);
    stop();
    await pass(10_000);
    expect(one.told).toEqual(['gained']);
  });

  it('says once what is wrong, such as a missing right', async () => {
    server.always(anything, { status: 403, body: { message: 'you must not' } });
    const [one] = await started('one');
    await pass(20_000);
    expect(one.told).toEqual([]);
    expect(lines.filter((line) => line.includes('you must not'))).toHaveLength(1);
    expect(server.seen).toHaveLength(11);
  });
});

describe('a release', () => {
  it('while a try is under way gives back what that try took', async () => {
    const one = new Replica('one');
    one.election.start();
    await one.election.release();
    expect(one.told).toEqual([]);
    expect(lease().holderIdentity).toBe('');
  });

  it('of one that does not lead touches nothing', async () => {
    const [, two] = await started('one', 'two');
    const before = server.count(isWrite);
    await two.election.release();
    expect(server.count(isWrite)).toBe(before);
    expect(lease().holderIdentity).toBe('one');
  });

  it('leaves alone what another has taken meanwhile', async () => {
    const [one] = await started('one');
    const held = server.get(leases, 'leader');
    server.put(leases, { ...held, spec: { ...held.spec, holderIdentity: 'two' } });
    await one.election.release();
    expect(lease().holderIdentity).toBe('two');
  });

  it('that the server does not take is said, and the Lease runs out', async () => {
    const [one] = await started('one');
    server.always(isWrite, { status: 500 });
    await one.election.release();
    expect(one.told).toEqual(['gained', 'lost']);
    expect(lines.some((line) => line.includes('it will run out'))).toBe(true);
  });
});
