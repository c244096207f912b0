import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newCounters } from './counters.ts';
import { streamLimits } from './limits.ts';
import { StreamOrder, type OrderActions } from './order.ts';

/** A batch of an engine: its text tells both, and its start differs from every other's. */
function payload(engine: string, sequence: number): Uint8Array {
  return Buffer.from(`${engine}${sequence}`.padEnd(20, '.'));
}

/** What the order did, in words. */
class Log implements OrderActions {
  lines: string[] = [];
  replays = true;
  backingOff = false;
  /** Replays asked for. */
  asked = 0;
  broken = '';

  apply(bytes: Uint8Array): boolean {
    const name = Buffer.from(bytes).toString().replace(/\.+$/, '');
    this.lines.push(name);
    return name !== this.broken;
  }

  clear(): void {
    this.lines.push('clear');
  }

  get hasReplay(): boolean {
    return this.replays;
  }

  canReplay(): boolean {
    return this.replays && !this.backingOff;
  }

  replay(from: number): void {
    this.asked += 1;
    this.lines.push(`replay ${from}`);
  }

  cancelReplay(): void {
    this.lines.push('cancel');
  }
}

function start(replays = true, limits = streamLimits) {
  const log = new Log();
  log.replays = replays;
  const counters = newCounters();
  const order = new StreamOrder(log, counters, limits);
  const say = {
    /** Batches from the subscription, as in `a0`. */
    told: (...names: string[]) => {
      for (const name of names) order.received(Number(name.slice(1)), payload(name[0], Number(name.slice(1))));
    },
    /** Answers of one replay; what the order has turned away from no longer reaches it. */
    replayed: (...names: string[]) => {
      const asked = log.asked;
      for (const name of names)
        if (log.asked === asked) order.replayed(Number(name.slice(1)), payload(name[0], Number(name.slice(1))));
    },
    /** The connection is lost and there again. */
    reconnect: () => {
      order.disconnected();
      order.connected();
      while (order.drainOne());
    },
    ended: () => {
      order.replayEnded();
      while (order.drainOne());
    },
    failed: () => {
      order.replayFailed();
      while (order.drainOne());
    },
  };
  return { log, counters, order, ...say };
}

describe('without replay', () => {
  test('batches in order are taken', () => {
    const { log, told } = start(false);
    told('a0', 'a1', 'a2');
    expect(log.lines).toEqual(['a0', 'a1', 'a2']);
  });

  test('a subscriber that comes late takes what comes, and that is no gap', () => {
    const { log, told, counters } = start(false);
    told('a7', 'a8');
    expect(log.lines).toEqual(['a7', 'a8']);
    expect([counters.gaps, counters.dropped]).toEqual([0, 0]);
  });

  test('a gap drops the entries and goes on', () => {
    const { log, told, counters } = start(false);
    told('a0', 'a1', 'a4', 'a5');
    expect(log.lines).toEqual(['a0', 'a1', 'clear', 'a4', 'a5']);
    expect([counters.gaps, counters.dropped]).toEqual([1, 1]);
  });

  test.each([
    ['0', 'b0'],
    ['the same number', 'b3'],
    ['a lower one', 'b2'],
  ])('a number that goes back to %s is a new engine', (_name, next) => {
    const { log, told, counters } = start(false);
    told('a0', 'a1', 'a2', 'a3', next);
    expect(log.lines).toEqual(['a0', 'a1', 'a2', 'a3', 'clear', next]);
    expect(counters.restarts).toBe(1);
  });

  test('a batch that cannot be understood drops the entries', () => {
    const { log, told, counters } = start(false);
    log.broken = 'a1';
    told('a0', 'a1', 'a2');
    expect(log.lines).toEqual(['a0', 'a1', 'clear', 'a2']);
    expect(counters.dropped).toBe(1);
  });
});

test('without replay, a lost connection leaves nothing, and the first one takes nothing away', () => {
  const { log, order, told, reconnect } = start(false);
  told('a0');
  order.connected();
  told('a1');
  reconnect();
  told('b2');
  expect(log.lines).toEqual(['a0', 'a1', 'clear', 'b2']);
});

test('what comes over a new connection before it is heard of waits for the replay that tells whose it is', () => {
  const { log, order, told, replayed, ended } = start();
  told('a0', 'a1');
  order.disconnected();
  told('b2');
  order.connected();
  replayed('b1', 'b2');
  replayed('b0', 'b1', 'b2');
  ended();
  expect(log.lines).toEqual(['a0', 'a1', 'replay 1', 'clear', 'replay 0', 'b0', 'b1', 'b2']);
});

test('a reconnect while replays are held back drops what cannot be proved, and makes good for it later', () => {
  const { log, order, told, reconnect } = start();
  told('a0', 'a1');
  log.backingOff = true;
  reconnect();
  told('b2');
  log.backingOff = false;
  order.retry();
  expect(log.lines).toEqual(['a0', 'a1', 'clear', 'b2', 'replay 0']);
});

describe('with replay', () => {
  test('a new subscriber is told all from 0 on, what comes meanwhile waits, and nothing is taken twice', () => {
    const { log, order, told, replayed, ended } = start();
    order.connected();
    told('a2', 'a3');
    replayed('a0', 'a1', 'a2');
    ended();
    told('a4');
    expect(log.lines).toEqual(['replay 0', 'a0', 'a1', 'a2', 'a3', 'a4']);
  });

  test('a replay may be ahead of the subscription', () => {
    const { log, order, told, replayed, ended, counters } = start();
    order.connected();
    replayed('a0', 'a1', 'a2');
    ended();
    told('a1', 'a2', 'a3');
    expect(log.lines).toEqual(['replay 0', 'a0', 'a1', 'a2', 'a3']);
    expect(counters.restarts).toBe(0);
  });

  test('a gap is filled from the last batch taken', () => {
    const { log, told, replayed, ended, counters } = start();
    told('a0', 'a1', 'a4', 'a5');
    replayed('a1', 'a2', 'a3', 'a4');
    ended();
    expect(log.lines).toEqual(['a0', 'a1', 'replay 1', 'a2', 'a3', 'a4', 'a5']);
    expect([counters.gaps, counters.dropped]).toEqual([1, 0]);
  });

  test('where the engine no longer has the missing ones, the entries are dropped', () => {
    const { log, told, replayed, ended } = start();
    told('a0', 'a1', 'a9');
    replayed('a5', 'a6', 'a7', 'a8', 'a9');
    ended();
    expect(log.lines).toEqual(['a0', 'a1', 'replay 1', 'clear', 'a5', 'a6', 'a7', 'a8', 'a9']);
  });

  test('a replay that fails drops the entries when something is missing, and is tried again', () => {
    const { log, order, told, replayed, ended, failed } = start();
    told('a0', 'a3');
    failed();
    order.retry();
    replayed('a0', 'a1', 'a2', 'a3');
    ended();
    order.retry();
    expect(log.lines).toEqual(['a0', 'replay 0', 'clear', 'a3', 'replay 0', 'clear', 'a0', 'a1', 'a2', 'a3']);
  });

  test('a replay that fails after a reconnect leaves nothing that the engine before may have told', () => {
    const { log, order, told, failed, reconnect } = start();
    told('a0', 'a1');
    reconnect();
    told('b2');
    failed();
    order.retry();
    expect(log.lines).toEqual(['a0', 'a1', 'replay 1', 'clear', 'b2', 'replay 0']);
  });

  test('a replay with a hole goes on with another one from there, as long as that helps', () => {
    const { log, told, replayed, ended } = start();
    told('a0', 'a9');
    replayed('a0', 'a1', 'a2', 'a5');
    replayed('a2', 'a6');
    replayed('a7', 'a8', 'a9');
    ended();
    const holes = ['a1', 'a2', 'replay 2', 'clear', 'a6', 'a7', 'a8', 'a9'];
    expect(log.lines).toEqual(['a0', 'replay 0', ...holes]);
  });

  test('a connection that was lost for a moment costs nothing', () => {
    const { log, reconnect, told, replayed, ended, counters } = start();
    told('a0', 'a1');
    reconnect();
    replayed('a1', 'a2');
    ended();
    told('a3');
    expect(log.lines).toEqual(['a0', 'a1', 'replay 1', 'a2', 'a3']);
    expect(counters.restarts).toBe(0);
  });

  test.each([
    ['has said less than the old one', [] as string[], ['b0', 'b1']],
    ['has said as much as the old one', ['b2'], ['b0', 'b1', 'b2']],
    ['has said more', ['b2', 'b3'], ['b0', 'b1', 'b2', 'b3']],
  ])('after a reconnect a new engine is known, also when it %s', (_name, answer, all) => {
    const { log, reconnect, told, replayed, ended, counters } = start();
    told('a0', 'a1', 'a2');
    reconnect();
    replayed(...answer);
    if (answer.length === 0) ended();
    replayed(...all);
    ended();
    told(`b${all.length}`);
    expect(log.lines).toEqual(['a0', 'a1', 'a2', 'replay 2', 'clear', 'replay 0', ...all, `b${all.length}`]);
    expect(counters.restarts).toBe(1);
  });

  test('a new engine seen on the subscription ends a replay of the old one', () => {
    const { log, told } = start();
    told('a0', 'a5', 'b0', 'b1');
    expect(log.lines).toEqual(['a0', 'replay 0', 'cancel', 'clear', 'b0', 'b1']);
  });

  test('what waits too long is too much: the entries are dropped and the replay given up', () => {
    const { log, told, order } = start(true, { ...streamLimits, pendingMessages: 2 });
    told('a0', 'a3', 'a4', 'a5', 'a6');
    expect(log.lines).toEqual(['a0', 'replay 0', 'cancel', 'clear', 'a5', 'a6']);
    expect(order.replaying).toBe(false);
    order.retry();
    expect(log.lines.at(-1)).toBe('replay 0');
  });

  test('and so are too many bytes', () => {
    const { log, told } = start(true, { ...streamLimits, pendingBytes: 45 });
    told('a0', 'a3', 'a4', 'a5');
    expect(log.lines).toEqual(['a0', 'replay 0', 'cancel', 'clear', 'a5']);
  });

  test('a replay that told of a far future is not believed for ever', () => {
    const { log, order, told, replayed, ended } = start();
    order.connected();
    replayed('a0', 'a900000');
    ended();
    const names = Array.from({ length: 1_003 }, (_, i) => `a${i}`);
    told(...names);
    expect(log.lines).toEqual(['replay 0', 'a0', 'clear', 'a900000', 'clear', 'replay 0']);
  });

  test('an answer after the replay is over says nothing', () => {
    const { log, order, told, ended } = start();
    order.connected();
    ended();
    order.replayed(9, payload('a', 9));
    order.replayEnded();
    told('a0');
    expect(log.lines).toEqual(['replay 0', 'a0']);
  });
});

/** One thing that happens to a stream; engines and numbers follow from the order of steps. */
const step = fc.constantFrom('publish', 'lose', 'reconnect', 'restart', 'answer', 'end', 'fail', 'drain');

test('whatever happens, the entries are always those of a run of batches of one engine that ends with the last', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.boolean(), (steps, replays) => {
      const log = new Log();
      log.replays = replays;
      const order = new StreamOrder(log, newCounters(), { ...streamLimits, pendingMessages: 6 });
      let engine = 0;
      let published = 0;
      const name = (): string => String.fromCharCode(97 + (engine % 26));
      for (const taken of steps) {
        const from = Number(
          /^replay (\d+)$/.exec(log.lines.findLast((line) => line.startsWith('replay')) ?? '')?.[1] ?? 0,
        );
        if (taken === 'publish') order.received(published, payload(name(), published++));
        else if (taken === 'lose') published += 1;
        else if (taken === 'reconnect') {
          order.disconnected();
          order.connected();
        } else if (taken === 'restart') {
          engine += 1;
          published = 0;
          order.disconnected();
          order.connected();
        } else if (taken === 'answer')
          for (let at = from; at < published; at++) order.replayed(at, payload(name(), at));
        else if (taken === 'end') order.replayEnded();
        else if (taken === 'fail') order.replayFailed();
        else order.drainOne();
      }
      // Everything has come in: the next batch settles what is open.
      order.replayFailed();
      while (order.drainOne());
      order.received(published, payload(name(), published));
      order.replayFailed();
      while (order.drainOne());
      const batches = log.lines.filter((line) => /^[a-z]\d+$|^clear$/.test(line));
      const held = batches.slice(batches.lastIndexOf('clear') + 1);
      expect(held.at(-1)).toBe(`${name()}${published}`);
      expect(new Set(held.map((line) => line[0])).size).toBe(1);
      const numbers = held.map((line) => Number(line.slice(1)));
      for (let i = 1; i < numbers.length; i++) expect(numbers[i]).toBeGreaterThan(numbers[i - 1]);
    }),
    { numRuns: 2_000 },
  );
});
