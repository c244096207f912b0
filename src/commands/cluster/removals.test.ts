import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import type { WatchedResource } from '../../controller/watched.ts';
import { Removals } from './removals.ts';

const object = (name: string): WatchedResource => ({
  id: `RoutingPolicy ns/${name}`,
  kind: 'RoutingPolicy',
  key: `ns/${name}`,
  namespace: 'ns',
  name,
  uid: name,
  resourceVersion: '1',
  generation: 1,
  created: 0,
  resource: null,
  faults: [],
  document: null,
  status: null,
});

const minute = 60_000;
let clock: ManualClock;
let away: boolean;
let gone: string[];
let orphans: string[];
let removals: Removals;

beforeEach(() => {
  clock = new ManualClock();
  away = false;
  gone = [];
  orphans = [];
  removals = new Removals({
    clock,
    away: () => away,
    onGone: ({ name }) => gone.push(name),
    onOrphan: ({ name }) => orphans.push(name),
  });
});

function setAway(value: boolean): void {
  away = value;
  removals.changed();
}

describe('Removals', () => {
  it('lets a deletion count within two seconds while the kind stays', () => {
    removals.deleted(object('a'));
    expect(gone).toEqual([]);
    clock.advance(1900);
    expect(gone).toEqual(['a']);
    expect(clock.pending).toBe(0);
  });

  it('lets each of many deletions count', () => {
    removals.deleted(object('a'));
    clock.advance(600);
    removals.deleted(object('b'));
    clock.advance(1900);
    expect(gone).toEqual(['a', 'b']);
  });

  it('lets each count within two seconds while others come without end', () => {
    for (const name of ['a', 'b', 'c', 'd']) {
      removals.deleted(object(name));
      clock.advance(1000);
    }
    expect(gone).toEqual(['a', 'b', 'c']);
  });

  it('takes deletions for none when the kind goes right after them', () => {
    removals.deleted(object('a'));
    clock.advance(400);
    setAway(true);
    clock.advance(60 * minute);
    expect(gone).toEqual([]);
    expect(orphans).toEqual(['a']);
  });

  it('keeps what was lost for ten minutes after the kind is back, for people to apply it again', () => {
    removals.deleted(object('a'));
    removals.deleted(object('b'));
    setAway(true);
    clock.advance(20 * minute);
    setAway(false);
    clock.advance(5 * minute);
    removals.present('RoutingPolicy ns/a');
    expect(gone).toEqual([]);
    clock.advance(6 * minute);
    expect(gone).toEqual(['b']);
  });

  it('counts the ten minutes anew when the kind goes again', () => {
    removals.deleted(object('a'));
    setAway(true);
    setAway(false);
    clock.advance(9 * minute);
    setAway(true);
    setAway(false);
    clock.advance(9 * minute);
    expect(gone).toEqual([]);
    clock.advance(2 * minute);
    expect(gone).toEqual(['a']);
  });

  it('lets a deletion that is made after the kind is back count at once', () => {
    removals.deleted(object('a'));
    setAway(true);
    setAway(false);
    removals.deleted(object('b'));
    clock.advance(1900);
    expect(gone).toEqual(['b']);
  });

  it('forgets a deletion of what is there again', () => {
    removals.deleted(object('a'));
    removals.present('RoutingPolicy ns/a');
    clock.advance(minute);
    expect(gone).toEqual([]);
  });

  it('leaves no timer behind', () => {
    removals.deleted(object('a'));
    removals.close();
    expect(clock.pending).toBe(0);
  });
});
