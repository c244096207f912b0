import { randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { candidatesOf, endpoint, promptOf, request } from '../../../test/fixtures/fleet.ts';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { blockBytes } from '../../router/prompt.ts';
import { ApproximateIndex } from '../approximate.ts';
import type { StoreConnection } from './connection.ts';
import type { Reply } from './resp.ts';
import { SharedPrefixStore, type SharedPrefixState } from './shared-prefix-store.ts';
import { StoreError } from './store-error.ts';

/** A stream in memory, behind any number of connections; a read that waits ends with the next entry. */
class Stream {
  readonly entries: { id: string; fields: Buffer[] }[] = [];
  readonly commands: string[] = [];
  connects = 0;
  broken: StoreError | null = null;
  private readonly waiting = new Set<() => void>();

  readonly connect = (): Promise<StoreConnection> => {
    this.connects += 1;
    if (this.broken !== null) return Promise.reject(this.broken);
    return Promise.resolve({ call: (args) => this.call(args), close: () => undefined });
  };

  /** Every connection fails from here on. */
  fail(error: StoreError): void {
    this.broken = error;
    this.wake();
  }

  private check(): void {
    const { broken } = this;
    if (broken instanceof Error) throw broken;
  }

  private wake(): void {
    for (const ring of this.waiting) ring();
    this.waiting.clear();
  }

  private async call(args: readonly (string | Uint8Array)[]): Promise<Reply> {
    const [name] = args.map(String);
    this.commands.push(name);
    this.check();
    if (name === 'XADD') return this.add(args);
    if (name === 'XREVRANGE') return this.list(this.entries.slice(-1));
    if (name === 'XRANGE') return this.list(args[2] === '-' ? this.entries : []);
    if (name !== 'XREAD') return 'OK';
    const from = Number.parseInt(String(args.at(-1)), 10);
    if (args.includes('BLOCK') && this.entries.length <= from) {
      await new Promise<void>((resolve) => this.waiting.add(resolve));
      this.check();
    }
    const news = this.entries.slice(from);
    return news.length === 0 ? null : [[Buffer.from('s'), this.list(news)]];
  }

  private add(args: readonly (string | Uint8Array)[]): Reply {
    const id = `${this.entries.length + 1}-0`;
    this.entries.push({ id, fields: args.slice(-2).map((arg) => Buffer.from(arg)) });
    this.wake();
    return Buffer.from(id);
  }

  private list(entries: Stream['entries']): Reply {
    return entries.map(({ id, fields }) => [Buffer.from(id), fields]);
  }
}

const prefixKey = randomBytes(32);
const ask = (letters: string) =>
  request({ prompt: promptOf([...letters].map((letter) => letter.repeat(blockBytes)).join('')) });

function replica(stream: Stream, clock = new ManualClock()) {
  const index = new ApproximateIndex();
  const states: SharedPrefixState[] = [];
  const store = new SharedPrefixStore({
    connect: stream.connect,
    index,
    prefixKey,
    stream: 's',
    clock,
    random: () => 1 - Number.EPSILON,
    startedAt: () => 0,
    onState: (state) => states.push(state),
  });
  store.reconcile([endpoint(0), endpoint(1)]);
  const found = (letters: string, slot: number): number => {
    const candidates = candidatesOf([endpoint(slot)], 1e9);
    store.match(ask(letters), candidates, candidates.cachedTokens);
    return candidates.cachedTokens[0] / (blockBytes / 4);
  };
  return { store, clock, states, found };
}

/** Lets everything happen that waits for nothing but its turn. */
async function calm(): Promise<void> {
  for (let i = 0; i < 30; i++) await turn();
}

describe('SharedPrefixStore', () => {
  it('tells in one entry what came within 50 ms, and each block once', async () => {
    const stream = new Stream();
    const [a, b] = [replica(stream), replica(stream)];
    await calm();
    const before = stream.entries.length;
    a.store.routed(ask('abc'), 0);
    a.store.routed(ask('abcde'), 0);
    a.store.routed(ask('abc'), 1);
    a.clock.advance(49);
    await calm();
    expect(stream.entries.length).toBe(before);
    a.clock.advance(1);
    await calm();
    expect(stream.entries.length).toBe(before + 1);
    expect([b.found('abcde', 0), b.found('abcde', 1)]).toEqual([5, 3]);
    expect(a.store.counters).toMatchObject({ sent: 1, toldBlocks: 8, received: 0 });
    expect(b.store.counters).toMatchObject({ received: 1, learnedBlocks: 8, orphaned: 0 });
    b.store.routed(ask('abcde'), 0);
    b.clock.advance(50);
    await calm();
    expect(b.store.counters.sent).toBe(0);
  });

  it('tells again what is in use when an epoch has passed', async () => {
    const stream = new Stream();
    const a = replica(stream);
    await calm();
    for (const [wait, sent] of [[0, 1], [0, 1], [900_000, 2]] as const) {
      a.clock.advance(wait);
      a.store.routed(ask('abc'), 0);
      a.clock.advance(50);
      await calm();
      expect(a.store.counters.sent).toBe(sent);
    } // prettier-ignore
  });

  it('comes back after pauses that double up to 15 s', async () => {
    const stream = new Stream();
    stream.broken = new StoreError('Unreachable', 'connect ECONNREFUSED');
    const a = replica(stream);
    await calm();
    const pauses = [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000];
    for (const [i, pause] of pauses.entries()) {
      a.clock.advance(pause - 1);
      await calm();
      expect(stream.connects).toBe(i + 1);
      a.clock.advance(1);
      await calm();
      expect(stream.connects).toBe(i + 2);
    }
    expect(a.states).toEqual([
      { connected: false, warm: false, since: 1000, reason: 'Unreachable', message: 'connect ECONNREFUSED' },
    ]);
    stream.broken = null;
    a.clock.advance(15_000);
    await calm();
    expect(a.store.state).toMatchObject({ connected: true, warm: true, reason: 'Connected', since: a.clock.now() });
  });

  it('keeps what it could not write, in order, and says since when it is alone', async () => {
    const stream = new Stream();
    const [a, b] = [replica(stream), replica(stream)];
    await calm();
    a.clock.advance(5000);
    stream.fail(new StoreError('Failing', 'OOM command not allowed'));
    await calm();
    expect(a.store.state).toMatchObject({ connected: false, since: a.clock.now(), reason: 'Failing' });
    for (const letters of ['ab', 'abcd']) {
      a.store.routed(ask(letters), 0);
      a.clock.advance(50);
    }
    expect([a.found('abcd', 0), a.store.pendingBytes > 0]).toEqual([4, true]);
    stream.broken = null;
    for (const one of [a, b]) one.clock.advance(15_000);
    await calm();
    expect([b.found('abcd', 0), a.store.pendingBytes]).toEqual([4, 0]);
  });

  it('takes an entry that comes twice once', async () => {
    const stream = new Stream();
    const [a, b] = [replica(stream), replica(stream)];
    await calm();
    a.store.routed(ask('abc'), 0);
    a.clock.advance(50);
    await calm();
    const { fields } = stream.entries[stream.entries.length - 1];
    stream.entries.push({ id: `${stream.entries.length + 1}-0`, fields });
    b.store.routed(ask('x'), 1);
    b.clock.advance(50);
    await calm();
    expect(b.store.counters).toMatchObject({ received: 1, repeated: 1 });
  });

  it('closed, it neither reads nor comes back', async () => {
    const stream = new Stream();
    const a = replica(stream);
    await calm();
    a.store.close();
    stream.fail(new StoreError('Unreachable', 'gone'));
    await calm();
    const { connects } = stream;
    a.clock.advance(60_000);
    await calm();
    expect([stream.connects, a.store.state.connected]).toEqual([connects, true]);
  });
});
