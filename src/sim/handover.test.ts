import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Engine } from './engine.ts';
import type { RemotePrompt, Sequence, SequenceListener } from './sequence.ts';
import { defaultServiceModel, serviceModelFor, transferSeconds, type ServiceModel } from './service-model.ts';
import type { SharedStore } from './allocation.ts';

const silent: SequenceListener = { progressed: () => undefined };
/** 16 blocks of 4 tokens; a transfer takes 1 s and 0.1 s a token. */
const small: ServiceModel = {
  ...defaultServiceModel,
  kvTokens: 64,
  blockSize: 4,
  transferLatency: 1,
  transferSecondsPerToken: 0.1,
};

function tokens(count: number, first = 0): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => first + i);
}

function prefill(engine: Engine, prompt: Uint32Array, now = 0): Sequence {
  return engine.submit({ prompt, maxOutput: 1, holdAfter: true, listener: silent }, now);
}

function decode(engine: Engine, prompt: Uint32Array, maxOutput: number, remote: RemotePrompt = {}, now = 0): Sequence {
  return engine.submit({ prompt, maxOutput, remote, listener: silent }, now);
}

/** An engine that has finished a held request of so many tokens. */
function holding(count: number): { engine: Engine; sequence: Sequence; since: number } {
  const engine = new Engine(small);
  const sequence = prefill(engine, tokens(count));
  engine.advance(engine.due);
  expect(sequence.state).toBe('finished');
  return { engine, sequence, since: sequence.endedAt };
}

describe('held blocks', () => {
  test('stay when their request has finished, count in the usage, and go when they are read', () => {
    const { engine, sequence, since } = holding(10);
    expect([engine.held.blocks, engine.held.sequences, engine.usage]).toEqual([3, 1, 3 / 16]);
    engine.advance(since + 5);
    expect(engine.releaseHeld(sequence, 'read', since + 5)).toBe(true);
    expect([engine.held.blocks, engine.usage, engine.due]).toEqual([0, 0, Infinity]);
    expect(engine.totals).toMatchObject({ heldReleasedByRead: 1, deadBlockSeconds: 0, deadLeaseBlockSeconds: 0 });
    expect(engine.totals.heldBlockSeconds).toBeCloseTo(15, 9);
    expect(engine.releaseHeld(sequence, 'read', since + 6)).toBe(false);
  });

  test('go when their lease ends, and have been dead all the time', () => {
    const { engine, since } = holding(10);
    expect(engine.due).toBe(since + 30);
    engine.advance(since + 40);
    expect(engine.usage).toBe(0);
    expect(engine.totals.leaseExpired).toBe(1);
    expect(engine.totals.deadBlockSeconds).toBeCloseTo(90, 9);
    expect(engine.totals.deadLeaseBlockSeconds).toBeCloseTo(90, 9);
    expect(engine.totals.heldBlockSeconds).toBeCloseTo(90, 9);
  });

  const deaths: [string, number | null, number, number, number][] = [
    ['given up by a notice after 2 s: dead since their start', null, 2, 6, 90],
    ['marked dead after 1 s, given up after 2: dead for one', 1, 2, 3, 87],
    ['marked dead after 1 s and left to the lease', 1, 30, 87, 87],
  ];
  test.each(deaths)('%s', (_name, marked, ended, dead, lease) => {
    const { engine, sequence, since } = holding(10);
    if (marked !== null) engine.held.markDead(sequence, since + marked);
    engine.advance(since + ended);
    engine.releaseHeld(sequence, 'abort', since + ended);
    expect(engine.totals.deadBlockSeconds).toBeCloseTo(dead, 9);
    expect(engine.totals.deadLeaseBlockSeconds).toBeCloseTo(lease, 9);
  });

  test('declined by their reader are not counted as dead', () => {
    const { engine, sequence, since } = holding(10);
    engine.releaseHeld(sequence, 'refusal', since + 3);
    expect(engine.totals).toMatchObject({ heldReleasedByRefusal: 1, deadBlockSeconds: 0, heldReleasedByAbort: 0 });
  });

  test('do not expire while they are read, and have a whole lease when the read breaks off', () => {
    const { engine, sequence, since } = holding(10);
    engine.held.pin(sequence);
    engine.advance(since + 100);
    expect(engine.held.has(sequence)).toBe(true);
    engine.held.renew(sequence, since + 100);
    expect(engine.due).toBe(since + 130);
    engine.advance(since + 130);
    expect(engine.held.has(sequence)).toBe(false);
  });

  test('a request that waits for room is admitted when a lease ends', () => {
    const { engine, since } = holding(40);
    const second = engine.submit({ prompt: tokens(40, 500), maxOutput: 1, listener: silent }, since);
    expect([engine.waiting, engine.due]).toEqual([1, since + 30]);
    engine.advance(since + 31);
    expect(second.firstTokenAt).toBeGreaterThan(since + 30);
    expect(second.state).toBe('finished');
  });

  test('can be hit by later prompts, and stay in the cache when released', () => {
    const { engine, sequence, since } = holding(16);
    const during = engine.submit({ prompt: tokens(16), maxOutput: 1, listener: silent }, since);
    engine.advance(engine.due);
    engine.releaseHeld(sequence, 'read', during.endedAt);
    const after = engine.submit({ prompt: tokens(16), maxOutput: 1, listener: silent }, during.endedAt);
    expect([during.cachedTokens, after.cachedTokens]).toEqual([12, 12]);
  });

  test('of an aborted request are freed at once', () => {
    const engine = new Engine(small);
    const sequence = prefill(engine, tokens(10));
    engine.abort(sequence, 0.001);
    expect([engine.held.sequences, engine.usage]).toEqual([0, 0]);
  });
});

describe('a prompt computed elsewhere', () => {
  test('is transferred, then one token of it is computed at the price of a decode', () => {
    const engine = new Engine(small);
    const sequence = decode(engine, tokens(20), 3);
    expect([sequence.state, engine.usage, engine.waiting, engine.receiving]).toEqual(['receiving', 5 / 16, 1, 1]);
    expect(engine.due).toBeCloseTo(3, 9);
    engine.advance(100);
    const step = small.interTokenBase + small.interTokenPerRequest;
    expect(sequence.firstTokenAt).toBeCloseTo(3 + step, 9);
    expect(sequence.endedAt).toBeCloseTo(3 + 3 * step, 9);
    expect(engine.totals).toMatchObject({ transfers: 1, externalTokens: 20, queriedTokens: 20, hitTokens: 0 });
    expect(engine.totals.transferSeconds).toBeCloseTo(3, 9);
  });

  test('gives the same tokens as one computed here', () => {
    const here = new Engine(small).submit({ prompt: tokens(20), maxOutput: 8, listener: silent }, 0);
    const engine = new Engine(small);
    const there = decode(engine, tokens(20), 8);
    engine.advance(100);
    while (here.outputLength < 8) here.generate();
    expect(there.text()).toBe(here.text());
  });

  const times: [string, RemotePrompt, number][] = [
    ['takes the time it is told', { seconds: 7 }, 7],
    ['begins when it is ready', { readyAt: 2, seconds: 1 }, 3],
    ['was ready before it was asked for', { readyAt: -5, seconds: 1 }, 1],
  ];
  test.each(times)('%s', (_name, remote, due) => {
    const engine = new Engine(small);
    decode(engine, tokens(20), 1, remote);
    expect(engine.due).toBeCloseTo(due, 9);
  });

  test('tells the prefiller when it has been read', () => {
    const { engine: prefiller, sequence: held, since } = holding(20);
    const decoder = new Engine(small);
    decode(decoder, tokens(20), 1, { done: (_, now) => prefiller.releaseHeld(held, 'read', now) }, since);
    decoder.advance(since + 10);
    expect(prefiller.held.sequences).toBe(0);
    expect(prefiller.totals.heldBlockSeconds).toBeCloseTo(3 * 5, 9);
  });

  test('enters the cache, so that the next turn hits it and transfers only the rest', () => {
    const engine = new Engine(small);
    decode(engine, tokens(20), 1);
    engine.advance(10);
    const next = decode(engine, tokens(28), 1, {}, 10);
    expect([next.cachedTokens, engine.due]).toEqual([20, 10 + 1 + 0.8]);
  });

  test('leaves the batch to others while it is on its way, and then goes before those that wait', () => {
    const engine = new Engine({ ...small, maxRunning: 1 });
    const far = decode(engine, tokens(20), 1, { seconds: 1 });
    const near = engine.submit({ prompt: tokens(4, 100), maxOutput: 400 / 16, listener: silent }, 0);
    const third = engine.submit({ prompt: tokens(4, 200), maxOutput: 1, listener: silent }, 0.9);
    engine.advance(5);
    expect(near.endedAt).toBeLessThan(1);
    expect(third.state).toBe('finished');
    expect(far.firstTokenAt).toBeGreaterThan(1);
  });

  test('that does not come fails, and frees its blocks', () => {
    const engine = new Engine(small);
    const told: [Sequence, number][] = [];
    const ended: Sequence[] = [];
    const remote = { begin: (sequence: Sequence, seconds: number) => told.push([sequence, seconds]) };
    const listener = { progressed: (sequence: Sequence) => ended.push(sequence) };
    const sequence = engine.submit({ prompt: tokens(20), maxOutput: 1, remote, listener }, 0);
    expect(told).toEqual([[sequence, 3]]);
    engine.advance(1_000);
    expect(sequence.state).toBe('receiving');
    engine.transferFailed(sequence, 1_000);
    expect([sequence.state, engine.usage, ended.length]).toEqual(['failed', 0, 1]);
    expect(engine.totals).toMatchObject({ failed: 1, failedTransfers: 1, transfers: 0, externalTokens: 0 });
  });

  test('that does not come is computed here where the policy is so', () => {
    const engine = new Engine(small);
    const sequence = decode(engine, tokens(20), 2, { begin: () => undefined });
    engine.transferFailed(sequence, 5, 'recompute');
    engine.advance(10);
    expect(sequence.state).toBe('finished');
    expect(sequence.firstTokenAt).toBeCloseTo(5.006, 9);
  });

  test('aborted on its way keeps its blocks until the transfer ends', () => {
    const engine = new Engine(small);
    const sequence = decode(engine, tokens(20), 2);
    engine.abort(sequence, 1);
    expect([sequence.state, engine.usage]).toEqual(['aborted', 5 / 16]);
    engine.advance(3);
    expect([engine.usage, engine.pool.cached, engine.totals.aborted]).toEqual([0, 0, 1]);
  });

  test('aborted before its turn needs no transfer', () => {
    const engine = new Engine(small);
    decode(engine, tokens(60), 1, { seconds: 50 });
    const second = decode(engine, tokens(60, 500), 1);
    engine.abort(second, 1);
    engine.advance(60);
    expect(engine.totals).toMatchObject({ transfers: 1, aborted: 1 });
    expect(engine.due).toBe(Infinity);
  });
});

describe('shared storage', () => {
  test('gives a prompt that another engine has computed, for the time of a transfer', () => {
    const saved = new Set<string>();
    const store: SharedStore = {
      find: ({ tokens: all }) => (saved.has(all.subarray(0, 20).join()) ? 19 : 0),
      save: ({ tokens: all }) => saved.add(all.subarray(0, 20).join()),
    };
    const [first, second] = [new Engine(small, null, store), new Engine(small, null, store)];
    first.submit({ prompt: tokens(20), maxOutput: 1, listener: silent }, 0);
    first.advance(1);
    const sequence = second.submit({ prompt: tokens(20), maxOutput: 1, listener: silent }, 1);
    second.advance(10);
    expect(sequence.usageCachedTokens).toBe(19);
    expect(sequence.firstTokenAt).toBeCloseTo(1 + transferSeconds(small, 19) + small.interTokenBase, 9);
    expect(second.totals).toMatchObject({ externalTokens: 19, hitTokens: 0 });
  });
});

describe('tensor parallelism', () => {
  const cases: [number, number, number][] = [
    [1, 1, 1],
    [2, 1.8, 1.6],
    [4, 3.24, 2.56],
    [8, 5.832, 4.096],
  ];
  test.each(cases)('over %i GPUs computes %f and decodes %f times as fast', (size, prefillFactor, decodeFactor) => {
    const base = defaultServiceModel;
    const model = serviceModelFor(size);
    expect(model.prefillRate / base.prefillRate).toBeCloseTo(prefillFactor, 9);
    expect(base.interTokenBase / model.interTokenBase).toBeCloseTo(decodeFactor, 9);
    expect(base.interTokenPerRequest / model.interTokenPerRequest).toBeCloseTo(decodeFactor, 9);
    expect([model.kvTokens, model.leaseSeconds]).toEqual([base.kvTokens * size, base.leaseSeconds]);
  });

  test('over no GPU is refused', () => {
    expect(() => serviceModelFor(0)).toThrow(RangeError);
  });
});

const actionArbitrary = fc.oneof(
  fc.record({
    kind: fc.constantFrom('plain', 'hold', 'remote'),
    size: fc.integer({ min: 1, max: 40 }),
    out: fc.nat(9),
  }),
  fc.record({ kind: fc.constantFrom('abort', 'release', 'fail', 'recompute'), size: fc.nat(30), out: fc.nat(9) }),
  fc.record({ kind: fc.constant('step'), size: fc.nat(1), out: fc.nat(1) }),
);

test('whatever comes, blocks are conserved, every request ends, and time held is what the holds add up to', () => {
  fc.assert(
    fc.property(fc.array(actionArbitrary, { maxLength: 60 }), (actions) => {
      const engine = new Engine({ ...small, maxRunning: 3, chunkTokens: 8 });
      const all: Sequence[] = [];
      let now = 0;
      const act = ({ kind, size, out }: { kind: string; size: number; out: number }): void => {
        const sequence = all.at(size % Math.max(1, all.length));
        const spec = { prompt: tokens(size, out % 2), maxOutput: out, listener: silent };
        if (kind === 'plain') all.push(engine.submit(spec, now));
        else if (kind === 'hold') all.push(engine.submit({ ...spec, holdAfter: true }, now));
        else if (kind === 'remote') {
          const told = out % 3 === 0 ? { begin: () => undefined } : {};
          all.push(engine.submit({ ...spec, remote: told }, now));
        } else if (kind === 'step') engine.advance((now = Math.max(now, Math.min(engine.due, now + 10))));
        else if (sequence === undefined) return;
        else if (kind === 'abort') engine.abort(sequence, now);
        else if (kind === 'release') engine.releaseHeld(sequence, 'abort', now);
        else engine.transferFailed(sequence, now, kind === 'fail' ? 'fail' : 'recompute');
      };
      const check = (): void => {
        expect(engine.pool.used).toBe(new Set(all.flatMap(({ blocks }) => blocks)).size);
        const held = all.filter((sequence) => engine.held.has(sequence));
        expect(engine.held.blocks).toBe(held.reduce((sum, { blocks }) => sum + blocks.length, 0));
        expect(engine.waiting).toBe(all.filter(({ state }) => state === 'waiting' || state === 'receiving').length);
        expect(engine.waiting === 0 || engine.due < Infinity || engine.receiving > 0).toBe(true);
      };
      for (const action of actions) {
        act(action);
        check();
      }
      while (engine.due < Infinity || engine.receiving > 0) {
        if (engine.due === Infinity) for (const sequence of all) engine.transferFailed(sequence, now);
        else engine.advance((now = engine.due));
        check();
      }
      expect(all.every(({ ended }) => ended)).toBe(true);
      expect([engine.pool.used, engine.held.sequences, engine.waiting]).toEqual([0, 0, 0]);
      const { finished, aborted, failed, deadBlockSeconds, heldBlockSeconds } = engine.totals;
      expect(finished + aborted + failed).toBe(all.length);
      // Holds ended by notice or lease only, so all of their time was dead.
      expect(deadBlockSeconds).toBeCloseTo(heldBlockSeconds, 6);
    }),
    { numRuns: 300 },
  );
});
