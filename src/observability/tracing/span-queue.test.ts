import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { createLog } from '../log.ts';
import { SpanQueue, type BatchExporter } from './span-queue.ts';

/** A queue of numbers before an exporter whose calls a test ends by hand. */
function room(fails: (() => never) | null = null) {
  const clock = new ManualClock();
  const sent: number[][] = [];
  const ends: ((result: { code: number; error?: Error }) => void)[] = [];
  const exporter: BatchExporter<number> = {
    export(spans, done) {
      sent.push(spans);
      fails?.();
      ends.push(done);
    },
  };
  const logged: Record<string, unknown>[] = [];
  const log = createLog((line) => void logged.push(JSON.parse(line) as Record<string, unknown>));
  const queue = new SpanQueue(exporter, { clock, log, capacity: 6, batch: 2, delay: 100, timeout: 1000 });
  const end = (code = 0, error?: Error): void => ends.shift()?.({ code, ...(error === undefined ? {} : { error }) });
  const push = (count: number): void => {
    for (let i = 0; i < count; i++) queue.push(i);
  };
  return { clock, queue, sent, ends, end, push, logged, lost: () => Object.fromEntries(queue.dropped) };
}

/** Lets promises that are settled be heard. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('spans on their way to a collector', () => {
  it('wait for others, but not for long', () => {
    const { clock, push, sent, queue, end } = room();
    push(1);
    clock.advance(99);
    expect(sent).toEqual([]);
    clock.advance(1);
    expect(sent).toEqual([[0]]);
    end();
    expect([queue.exported, queue.length, clock.pending]).toEqual([1, 0, 0]);
  });

  it('go at once when there are as many as go together, one batch after the other', () => {
    const { push, sent, end, queue, clock } = room();
    push(5);
    expect(sent).toEqual([[0, 1]]);
    end();
    expect(sent).toEqual([
      [0, 1],
      [2, 3],
    ]);
    end();
    // The last one waits for others.
    expect(sent).toHaveLength(2);
    clock.advance(100);
    expect(sent[2]).toEqual([4]);
    end();
    expect(queue.exported).toBe(5);
  });

  it('are bounded: what does not fit while a batch is under way is dropped and counted', () => {
    const { push, queue, lost, logged } = room();
    push(20);
    expect(queue.length).toBe(6);
    expect(lost()).toEqual({ queue_full: 12 });
    expect(logged).toMatchObject([{ level: 'warn', reason: 'queue_full', total: 1 }]);
  });

  it('that did not come through are counted, told of now and then, and do not stop the others', () => {
    const { push, end, lost, logged, queue, clock, sent } = room();
    push(4);
    end(1, new Error('x'.repeat(1000)));
    end(1);
    expect(lost()).toEqual({ export_failed: 4 });
    expect(logged).toHaveLength(1);
    expect(String(logged[0].error)).toHaveLength(200);
    clock.advance(5000);
    push(2);
    end(1, new Error('again'));
    expect(logged[1]).toMatchObject({ total: 6, error: 'again', repeated: 1 });
    push(2);
    end();
    expect([queue.exported, sent.length]).toEqual([2, 4]);
  });

  it('are told of by the code of an error that has no words', () => {
    const { push, end, logged } = room();
    push(2);
    end(1, Object.assign(new AggregateError([], ''), { code: 'ECONNREFUSED' }));
    expect(logged).toMatchObject([{ error: 'ECONNREFUSED' }]);
  });

  it('count as lost where the exporter throws', () => {
    const { push, lost, queue } = room(() => {
      throw new Error('no');
    });
    push(2);
    expect(lost()).toEqual({ export_failed: 2 });
    expect(queue.length).toBe(0);
  });

  it('are given up when a call does not end, and what it says afterwards counts no more', () => {
    const { push, clock, lost, end, queue, sent } = room();
    push(2);
    clock.advance(999);
    expect(lost()).toEqual({});
    clock.advance(1);
    expect(lost()).toEqual({ export_failed: 2 });
    end();
    expect(queue.exported).toBe(0);
    push(2);
    expect(sent).toHaveLength(2);
  });
});

describe('at the end', () => {
  it('what waits is sent, whatever is under way', async () => {
    const { push, queue, end, sent } = room();
    push(5);
    let closed = false;
    void queue.close(500).then(() => (closed = true));
    while (sent.length < 3) end();
    await turn();
    expect(closed).toBe(false);
    end();
    await turn();
    expect([closed, queue.exported]).toEqual([true, 5]);
  });

  it('nothing is waited for where nothing waits', async () => {
    const { queue, clock } = room();
    await queue.close(500);
    expect(clock.pending).toBe(0);
  });

  it('the rest is given up after a while', async () => {
    const { push, queue, clock, lost } = room();
    push(5);
    const closing = queue.close(500);
    clock.advance(500);
    await closing;
    expect(lost()).toEqual({ shutdown: 3 });
    push(1);
    expect(lost()).toEqual({ shutdown: 4 });
  });
});
