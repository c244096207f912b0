import { expect, test } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { Pace } from './pace.ts';
import { Turnstile } from './turnstile.ts';

test('work goes on within a slice, and waits for the next turn of the loop beyond it, for all who share it', async () => {
  const clock = new ManualClock();
  const pace = new Pace(clock);
  const spend = (milliseconds: number) => pace.run(() => clock.advance(milliseconds));
  expect(spend(0.5)).toBe(null);
  expect(spend(0.5)).toBe(null);
  const rest = spend(1.5);
  expect(rest).not.toBe(null);
  expect(spend(0)).toBe(rest);
  let immediate = false;
  setImmediate(() => (immediate = true));
  await rest;
  // The loop has come round: others had their turn.
  expect(immediate).toBe(false);
  expect(spend(1)).toBe(null);
  const again = spend(1);
  await again;
  expect(immediate).toBe(true);
});

test('a turnstile lets so many through, and the next one when one has left', async () => {
  const turnstile = new Turnstile(2);
  const inside: number[] = [];
  const enter = async (who: number): Promise<void> => {
    await turnstile.enter();
    inside.push(who);
  };
  await Promise.all([enter(1), enter(2)]);
  const third = enter(3);
  const fourth = enter(4);
  await Promise.resolve();
  expect(inside).toEqual([1, 2]);
  turnstile.leave();
  await third;
  expect(inside).toEqual([1, 2, 3]);
  turnstile.leave();
  await fourth;
  turnstile.leave();
  turnstile.leave();
  await enter(5);
  expect(inside).toEqual([1, 2, 3, 4, 5]);
});
