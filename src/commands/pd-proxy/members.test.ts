import { describe, expect, it } from 'vitest';
import { group, pairGroup, readyStates } from '../../../test/fixtures/fleet.ts';
import { topologyOf } from '../../../test/fixtures/pairs.ts';
import { Flag, type EndpointStates } from '../../router/states.ts';
import { RoutingTable } from '../../router/table.ts';
import { healthOf, membersOf, type Member } from './members.ts';

const table = (shape: Parameters<typeof pairGroup>[0], topology = topologyOf()): RoutingTable =>
  new RoutingTable(1, [], new Map([['ns/g', group({ endpoints: pairGroup(shape), topology })]]));

const shape = { name: 'a', from: 0, prefills: 2, decodes: 1, leaders: 1 };

describe('the members of a group', () => {
  it('are its prefillers and decoders, not its leader, with their readiness', () => {
    const states = readyStates(8);
    states.set(1, Flag.healthy, false);
    const members = membersOf(table(shape), states);
    expect(members.map(({ role, groupId, ready }) => [role, groupId, ready])).toEqual([
      ['prefill', 'a', true],
      ['prefill', 'a', false],
      ['decode', 'a', true],
    ]);
  });

  it('are none of a group whose engines do all by themselves', () => {
    const plain = new RoutingTable(1, [], new Map([['ns/g', group({ endpoints: pairGroup(shape) })]]));
    expect(membersOf(plain, readyStates(8))).toEqual([]);
  });
});

describe('the health of a group', () => {
  const member = (role: Member['role'], ready: boolean): Member => ({
    pod: 'p',
    address: 'a:1',
    groupId: 'g',
    role,
    ready,
  });

  it.each<[string, Member[], boolean, number, number]>([
    ['all are ready', [member('prefill', true), member('decode', true)], true, 2, 2],
    ['one prefiller is not', [member('prefill', true), member('prefill', false), member('decode', true)], false, 2, 3],
    ['there is no decoder', [member('prefill', true)], false, 1, 1],
    ['there is no prefiller', [member('decode', true)], false, 1, 1],
    ['there is nobody', [], false, 0, 0],
  ])('where %s', (_sentence, members, whole, ready, total) => {
    expect(healthOf(members)).toMatchObject({ whole, ready, total });
  });

  it('counts by role', () => {
    const states: EndpointStates = readyStates(8);
    states.set(2, Flag.healthy, false);
    expect(healthOf(membersOf(table(shape), states))).toMatchObject({
      prefill: { ready: 2, total: 2 },
      decode: { ready: 0, total: 1 },
    });
  });
});
