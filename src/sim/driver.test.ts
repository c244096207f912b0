import { expect, test } from 'vitest';
import type { Clock } from '../router/clock.ts';
import { EngineDriver } from './driver.ts';
import { Engine } from './engine.ts';
import { defaultServiceModel } from './service-model.ts';

/** Time that stands still until it is moved; timers run in order of their times, as late as they are let. */
class HandClock implements Clock {
  private time = 1_000;
  private timers: { due: number; callback: () => void }[] = [];

  now(): number {
    return this.time;
  }

  after(milliseconds: number, callback: () => void): () => void {
    const timer = { due: this.time + milliseconds, callback };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  }

  get next(): number {
    return Math.min(...this.timers.map(({ due }) => due));
  }

  /** Jumps and then runs what is due, as a busy process would. */
  jump(milliseconds: number): void {
    this.time += milliseconds;
    const due = this.timers.filter((timer) => timer.due <= this.time).sort((a, b) => a.due - b.due);
    this.timers = this.timers.filter((timer) => timer.due > this.time);
    for (const { callback } of due) callback();
  }
}

function driven(speedUp: number) {
  const clock = new HandClock();
  const engine = new Engine(defaultServiceModel);
  let flushes = 0;
  const driver = new EngineDriver(engine, { clock, speedUp, flush: () => (flushes += 1) });
  const submit = (tokens: number, maxOutput: number) =>
    driver.submit({
      prompt: new Uint32Array(tokens).fill(tokens),
      maxOutput,
      listener: { progressed: () => undefined },
    });
  return { clock, engine, driver, submit, flushes: () => flushes };
}

test('a step ends when the clock reaches its due time at the speed asked for', () => {
  const { clock, submit } = driven(10);
  const sequence = submit(800, 1);
  expect(clock.next).toBeCloseTo(1_010, 6);
  clock.jump(9.9);
  expect(sequence.state).toBe('running');
  clock.jump(0.2);
  expect(sequence.endedAt).toBeCloseTo(0.1, 9);
});

test('one late wake-up ends many steps, each at its own time, and flushes once', () => {
  const { clock, engine, submit, flushes } = driven(1);
  const sequence = submit(800, 11);
  clock.jump(1_000);
  expect(flushes()).toBe(1);
  expect(sequence.endedAt).toBeCloseTo(0.1 + 10 * 0.006_35, 9);
  expect(engine.totals.lateSeconds).toBeCloseTo(1 - sequence.endedAt, 9);
});

test('a request that comes while steps are overdue starts after them, now', () => {
  const { clock, driver, submit } = driven(1);
  submit(800, 1);
  clock.jump(50);
  const second = submit(80, 1);
  clock.jump(50);
  expect(second.arrivedAt).toBeCloseTo(0.05, 9);
  clock.jump(100);
  expect(second.endedAt).toBeCloseTo(0.1 + 0.01, 9);
  expect(driver.now()).toBeCloseTo(0.2, 9);
});

test('after a stop no timer is left', () => {
  const { clock, driver, submit } = driven(1);
  submit(800, 1);
  driver.stop();
  expect(clock.next).toBe(Infinity);
});
