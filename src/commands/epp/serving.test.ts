import { expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { Serving } from './serving.ts';

it('tells readiness and its changes, and that the process lives whatever they are', () => {
  const clock = new ManualClock();
  let reason: string | null = 'not yet';
  const serving = new Serving(() => reason, clock);
  const told: boolean[] = [];
  const end = serving.onChange(() => told.push(serving.serving('')));
  expect([serving.serving('readiness'), serving.serving('liveness')]).toEqual([false, true]);
  reason = null;
  clock.advance(1000);
  clock.advance(1000);
  reason = 'draining';
  serving.look();
  expect(told).toEqual([true, false]);
  expect(serving.serving('envoy.service.ext_proc.v3.ExternalProcessor')).toBe(false);
  end();
  reason = null;
  serving.look();
  expect(told).toHaveLength(2);
  serving.close();
  reason = 'x';
  serving.onChange(() => told.push(true));
  clock.advance(10_000);
  expect(told).toHaveLength(2);
});
