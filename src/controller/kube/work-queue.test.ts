import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { WorkQueue } from './work-queue.ts';

/** A queue whose work ends when the test says so. */
class Bench {
  readonly clock = new ManualClock();
  readonly started: string[] = [];
  readonly failed: { key: string; retryIn: number }[] = [];
  private readonly under = new Map<string, { done: () => void; fail: () => void }>();
  readonly queue: WorkQueue;
  most = 0;

  constructor(workers = 1) {
    this.queue = new WorkQueue({
      workers,
      clock: this.clock,
      random: () => 0.5,
      failed: (key, _error, retryIn) => this.failed.push({ key, retryIn }),
      process: (key) => {
        if (this.under.has(key)) throw new Error(`${key} is worked on twice at the same time`);
        this.started.push(key);
        return new Promise((resolve, reject) => {
          this.under.set(key, { done: resolve, fail: () => reject(new Error('no')) });
          this.most = Math.max(this.most, this.under.size);
        });
      },
    });
  }

  get working(): string[] {
    return [...this.under.keys()];
  }

  async end(key: string, how: 'done' | 'fail' = 'done'): Promise<void> {
    const work = this.under.get(key);
    this.under.delete(key);
    work?.[how]();
    await turns();
  }
}

/** Lets every promise go on that can. */
const turns = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a work queue', () => {
  it('works on a key that was added many times only once', async () => {
    const { queue, started } = new Bench();
    for (let times = 0; times < 5; times += 1) queue.add('k');
    expect(queue.length).toBe(1);
    expect(started).toEqual([]);
    await turns();
    expect(started).toEqual(['k']);
    expect(queue.length).toBe(0);
  });

  it('works on a key once more that was added while it was worked on', async () => {
    const bench = new Bench(2);
    bench.queue.add('k');
    await turns();
    bench.queue.add('k');
    bench.queue.add('k');
    await turns();
    expect(bench.started).toEqual(['k']);
    await bench.end('k');
    expect(bench.started).toEqual(['k', 'k']);
    await bench.end('k');
    expect(bench.started).toHaveLength(2);
  });

  it('lets another key pass one that waits for its own end', async () => {
    const bench = new Bench(2);
    bench.queue.add('k');
    await turns();
    bench.queue.add('k');
    bench.queue.add('l');
    await turns();
    expect(bench.started).toEqual(['k', 'l']);
  });

  it('works on as many keys at the same time as it has workers, in the order they came', async () => {
    const bench = new Bench(2);
    for (const key of ['a', 'b', 'c', 'd']) bench.queue.add(key);
    await turns();
    expect(bench.started).toEqual(['a', 'b']);
    await bench.end('b');
    await bench.end('a');
    expect(bench.started).toEqual(['a', 'b', 'c', 'd']);
    expect(bench.most).toBe(2);
  });

  it('tries again what failed, later each time up to a minute, and from the start after a success', async () => {
    const bench = new Bench();
    bench.queue.add('k');
    await turns();
    const waits: number[] = [];
    for (let times = 0; times < 16; times += 1) {
      await bench.end('k', 'fail');
      const retryIn = bench.failed.at(-1)?.retryIn ?? 0;
      waits.push(retryIn);
      bench.clock.advance(retryIn - 1);
      await turns();
      expect(bench.working).toEqual([]);
      bench.clock.advance(1);
      await turns();
      expect(bench.working).toEqual(['k']);
    }
    expect(waits.slice(0, 4)).toEqual([5, 10, 20, 40]);
    expect(waits.slice(-3)).toEqual([40_960, 60_000, 60_000]);
    await bench.end('k');
    bench.queue.add('k');
    await turns();
    await bench.end('k', 'fail');
    expect(bench.failed.at(-1)?.retryIn).toBe(5);
  });

  it('does not let one failing key hold up another', async () => {
    const bench = new Bench();
    bench.queue.add('bad');
    bench.queue.add('good');
    await turns();
    await bench.end('bad', 'fail');
    expect(bench.working).toEqual(['good']);
  });

  it('adds a key at its time, at the earliest of several', async () => {
    const bench = new Bench();
    bench.queue.addAfter('k', 100);
    bench.queue.addAfter('k', 50);
    bench.queue.addAfter('k', 70);
    expect(bench.clock.pending).toBe(1);
    bench.clock.advance(49);
    expect(bench.queue.length).toBe(0);
    bench.clock.advance(1);
    await turns();
    expect(bench.started).toEqual(['k']);
    await bench.end('k');
    bench.clock.advance(100);
    await turns();
    expect(bench.started).toEqual(['k']);
  });

  it('leaves nothing behind when it is closed, and waits for what is under way', async () => {
    const bench = new Bench();
    for (const key of ['a', 'b']) bench.queue.add(key);
    bench.queue.addAfter('c', 10);
    await turns();
    let over = false;
    const closed = bench.queue.close().then(() => (over = true));
    bench.queue.add('d');
    bench.queue.addAfter('e', 1);
    await turns();
    expect([over, bench.queue.length, bench.clock.pending]).toEqual([false, 0, 0]);
    await bench.end('a', 'fail');
    await closed;
    expect(bench.clock.pending).toBe(0);
    expect(bench.started).toEqual(['a']);
  });

  it('loses no key, doubles none and never works on one at two workers, whatever happens in whatever order', async () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd');
    const step = fc.oneof(
      fc.record({ do: fc.constant('add' as const), key }),
      fc.record({ do: fc.constant('after' as const), key, ms: fc.nat(500) }),
      fc.record({ do: fc.constantFrom('done' as const, 'fail' as const), key }),
      fc.record({ do: fc.constant('time' as const), ms: fc.nat(500) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.array(step, { maxLength: 60 }), async (workers, steps) => {
        const bench = new Bench(workers);
        /** Keys that must be worked on from their beginning some time from now. */
        const owed = new Set<string>();
        let seen = 0;
        const look = (): void => {
          for (const started of bench.started.slice(seen)) owed.delete(started);
          seen = bench.started.length;
        };
        for (const taken of steps) {
          if (taken.do === 'time') bench.clock.advance(taken.ms);
          else if (taken.do === 'add') bench.queue.add(taken.key);
          else if (taken.do === 'after') bench.queue.addAfter(taken.key, taken.ms);
          const adds = taken.do === 'add' || taken.do === 'after';
          const fails = taken.do === 'fail' && bench.working.includes(taken.key);
          if (adds || fails) owed.add(taken.key);
          if (taken.do === 'done' || taken.do === 'fail') await bench.end(taken.key, taken.do);
          await turns();
          look();
          expect(bench.working.length).toBeLessThanOrEqual(workers);
          // Beside a free worker only a key waits that is worked on already.
          if (bench.working.length < workers) expect(bench.queue.length).toBeLessThanOrEqual(bench.working.length);
        }
        const before = bench.started.length;
        bench.clock.advance(60_000);
        for (let rounds = 0; rounds < 20; rounds += 1) {
          await turns();
          look();
          for (const under of bench.working) await bench.end(under);
        }
        look();
        expect([...owed]).toEqual([]);
        expect(bench.started.length - before).toBeLessThanOrEqual(8);
        expect([bench.queue.length, bench.clock.pending]).toEqual([0, 0]);
      }),
      { numRuns: 150 },
    );
  });
});
