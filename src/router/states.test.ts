import { describe, expect, it } from 'vitest';
import { readyStates } from '../../test/fixtures/fleet.ts';
import { Reservation } from './reservation.ts';
import { EndpointStates, Flag } from './states.ts';

const load = { waiting: 3, running: 5, usage: 0.25 };

describe('EndpointStates', () => {
  it.each([
    ['a healthy endpoint takes requests', [], true],
    ['an ejected one does not', [Flag.ejected], false],
    ['a draining one does not', [Flag.draining], false],
    ['a sleeping one does not: it would never answer', [Flag.sleeping], false],
    ['one with stale metrics does: its load is unknown, not its health', [Flag.stale], true],
  ])('%s', (_sentence, flags, ready) => {
    const states = readyStates(1);
    for (const flag of flags) states.set(0, flag, true);
    expect(states.isReady(0)).toBe(ready);
  });

  it('an unhealthy endpoint takes none, and a slot nobody has cleared neither', () => {
    const states = readyStates(1);
    states.set(0, Flag.healthy, false);
    expect(states.isReady(0)).toBe(false);
    expect(new EndpointStates(1).isReady(0)).toBe(false);
  });

  it('sets and clears one flag without touching the others', () => {
    const states = readyStates(1);
    states.set(0, Flag.ejected, true);
    states.set(0, Flag.sleeping, true);
    states.set(0, Flag.ejected, false);
    expect([Flag.healthy, Flag.ejected, Flag.sleeping].map((flag) => states.has(0, flag))).toEqual([true, false, true]);
  });

  it('keeps every row and every field apart', () => {
    const states = new EndpointStates(3);
    const { f64, i32, u32 } = {
      f64: [states.queuedTokens, states.waiting, states.running, states.usage, states.scrapedAt, states.warmth],
      i32: [states.inFlight, states.ownWaiting, states.unseenWaiting, states.newWaiting],
      u32: [states.window, states.seenWindow],
    };
    const fields = [...f64, ...i32, ...u32, states.flags];
    fields.forEach((field, f) => {
      for (let slot = 0; slot < 3; slot++) field[slot] = 10 * f + slot;
    });
    fields.forEach((field, f) => expect([...field]).toEqual([10 * f, 10 * f + 1, 10 * f + 2]));
  });

  it('lies in memory that worker threads can share', () => {
    const states = new EndpointStates(2);
    for (const field of [states.flags, states.inFlight, states.usage])
      expect(field.buffer).toBeInstanceOf(SharedArrayBuffer);
  });

  it('clears a row for a new owner: healthy, warm, idle, never scraped', () => {
    const states = readyStates(2);
    states.scrapeStarts(0);
    new Reservation(states, 0, 10);
    states.scrapeSucceeds(0, load, 77);
    states.set(0, Flag.draining, true);
    states.warmth[0] = 0.5;
    states.reset(0);
    expect(states.isReady(0)).toBe(true);
    expect(states.warmth[0]).toBe(1);
    for (const field of [
      states.inFlight,
      states.queuedTokens,
      states.ownWaiting,
      states.unseenWaiting,
      states.newWaiting,
      states.waiting,
      states.running,
      states.usage,
      states.scrapedAt,
    ]) {
      expect(field[0]).toBe(0);
    }
  });
});

describe('the number waiting', () => {
  it('is what the scrape says and what was sent since it was started', () => {
    const states = readyStates(1);
    new Reservation(states, 0, 10);
    states.scrapeStarts(0);
    new Reservation(states, 0, 10);
    states.scrapeSucceeds(0, load, 50);
    expect(states.waitingNow(0)).toBe(4);
    expect(states.usageNow(0)).toBe(0.25);
    expect(states.running[0]).toBe(5);
    expect(states.scrapedAt[0]).toBe(50);
  });

  it('is what this router has sent where nothing was ever scraped', () => {
    const states = readyStates(1);
    new Reservation(states, 0, 10);
    new Reservation(states, 0, 10).firstByte();
    expect(states.waitingNow(0)).toBe(1);
  });

  it('stays while a scrape is under way, and when it fails', () => {
    const states = readyStates(1);
    states.scrapeStarts(0);
    states.scrapeSucceeds(0, load, 50);
    new Reservation(states, 0, 10);
    states.scrapeStarts(0);
    new Reservation(states, 0, 10);
    expect(states.waitingNow(0)).toBe(5);
    // That scrape fails; the next one has seen the first two but not the third.
    states.scrapeStarts(0);
    new Reservation(states, 0, 10);
    states.scrapeSucceeds(0, load, 60);
    expect(states.waitingNow(0)).toBe(4);
  });

  it('forgets stale figures and counts all that this router has waiting there', () => {
    const states = readyStates(1);
    new Reservation(states, 0, 10);
    states.scrapeStarts(0);
    states.scrapeSucceeds(0, load, 50);
    states.set(0, Flag.stale, true);
    expect(states.waitingNow(0)).toBe(1);
    expect(states.usageNow(0)).toBe(0);
    states.scrapeStarts(0);
    states.scrapeSucceeds(0, load, 60);
    expect(states.has(0, Flag.stale)).toBe(false);
    expect(states.waitingNow(0)).toBe(3);
  });
});
