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
/** What the API server says of our kinds; null while it does not answer. */
let stay: boolean | null;
let asked: number;
let gone: string[];
let orphans: string[];
let removals: Removals;

beforeEach(() => {
  clock = new ManualClock();
  away = false;
  stay = true;
  asked = 0;
  gone = [];
  orphans = [];
  removals = new Removals({
    clock,
    away: () => away,
    kindsStay: () => {
      asked += 1;
      return Promise.resolve(stay);
    },
    onGone: ({ name }) => gone.push(name),
    onOrphan: ({ name }) => orphans.push(name),
  });
});

/** Goes on in steps, so that each question has its answer in time. */
async function advance(milliseconds: number): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += 100) {
    clock.advance(100);
    await Promise.resolve();
    await Promise.resolve();
  }
}

function setAway(value: boolean): void {
  away = value;
  removals.changed();
}

describe('Removals', () => {
  it('lets a deletion count within two seconds while the kind stays', async () => {
    removals.deleted(object('a'));
    expect(gone).toEqual([]);
    await advance(1900);
    expect(gone).toEqual(['a']);
    expect(clock.pending).toBe(0);
  });

  it('lets each of many deletions count', async () => {
    removals.deleted(object('a'));
    await advance(600);
    removals.deleted(object('b'));
    await advance(1900);
    expect(gone).toEqual(['a', 'b']);
  });

  it('lets each count within two seconds while others come without end', async () => {
    for (const name of ['a', 'b', 'c', 'd']) {
      removals.deleted(object(name));
      await advance(1000);
    }
    expect(gone).toEqual(['a', 'b', 'c']);
  });

  it('takes deletions for none when the kind goes right after them', async () => {
    removals.deleted(object('a'));
    await advance(400);
    setAway(true);
    await advance(60 * minute);
    expect(gone).toEqual([]);
    expect(orphans).toEqual(['a']);
  });

  it('keeps what was lost for ten minutes after the kind is back, for people to apply it again', async () => {
    removals.deleted(object('a'));
    removals.deleted(object('b'));
    setAway(true);
    await advance(20 * minute);
    setAway(false);
    await advance(5 * minute);
    removals.present('RoutingPolicy ns/a');
    expect(gone).toEqual([]);
    await advance(6 * minute);
    expect(gone).toEqual(['b']);
  });

  it('counts the ten minutes anew when the kind goes again', async () => {
    removals.deleted(object('a'));
    setAway(true);
    setAway(false);
    await advance(9 * minute);
    setAway(true);
    setAway(false);
    await advance(9 * minute);
    expect(gone).toEqual([]);
    await advance(2 * minute);
    expect(gone).toEqual(['a']);
  });

  it('lets a deletion that is made after the kind is back count at once', async () => {
    removals.deleted(object('a'));
    setAway(true);
    setAway(false);
    removals.deleted(object('b'));
    await advance(1900);
    expect(gone).toEqual(['b']);
  });

  it('forgets a deletion of what is there again', async () => {
    removals.deleted(object('a'));
    removals.present('RoutingPolicy ns/a');
    await advance(minute);
    expect(gone).toEqual([]);
  });

  it('takes a deletion for none when the API server says that the kind ends, before its watches do', async () => {
    stay = false;
    removals.deleted(object('a'));
    await advance(1900);
    expect(orphans).toEqual(['a']);
    setAway(true);
    await advance(minute);
    stay = true;
    setAway(false);
    await advance(9 * minute);
    expect(gone).toEqual([]);
    await advance(2 * minute);
    expect(gone).toEqual(['a']);
  });

  it('waits while the API server does not say whether the kind stays, and asks once a second', async () => {
    stay = null;
    removals.deleted(object('a'));
    removals.deleted(object('b'));
    await advance(11_200);
    expect(gone).toEqual([]);
    expect(asked).toBe(11);
    stay = true;
    await advance(1000);
    expect(gone).toEqual(['a', 'b']);
  });

  it('believes an answer only of what was deleted before the question', async () => {
    let answer: (stays: boolean) => void = () => undefined;
    const slow = new Removals({
      clock,
      away: () => away,
      kindsStay: () => new Promise((resolve) => void (answer = resolve)),
      onGone: ({ name }) => gone.push(name),
      onOrphan: ({ name }) => orphans.push(name),
    });
    slow.deleted(object('a'));
    await advance(1200);
    slow.present('RoutingPolicy ns/a');
    slow.deleted(object('a'));
    answer(true);
    await advance(1000);
    expect(gone).toEqual([]);
    await advance(200);
    answer(true);
    await advance(100);
    expect(gone).toEqual(['a']);
  });

  it.each(['while it waits', 'while the API server is asked'])('ends without a trace %s', async (when) => {
    removals.deleted(object('a'));
    if (when !== 'while it waits') clock.advance(1200);
    removals.close();
    await advance(minute);
    expect(clock.pending).toBe(0);
    expect(gone).toEqual([]);
  });
});
