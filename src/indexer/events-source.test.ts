import { describe, expect, it } from 'vitest';
import { candidatesOf, endpoints, promptOf, request } from '../../test/fixtures/fleet.ts';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import type { PromptTokens } from '../router/foreknowledge.ts';
import type { PrefixSource } from '../router/prefix.ts';
import { ApproximateIndex } from './approximate.ts';
import { BlockIndex } from './blocks/block-index.ts';
import { EventsSource } from './events-source.ts';
import { HolderBook } from './holder-book.ts';
import { Tier, type Holder } from './kv-events.ts';

const group = 'ns/group';
const secret = 7;
const expectedFor = 1000;

const idsOf = (count: number, first = 1): Uint32Array => Uint32Array.from({ length: count }, (_, i) => first + i);
const prompt = (ids: Uint32Array, over: Partial<PromptTokens> = {}): PromptTokens => ({
  ids,
  lora: '',
  salt: '',
  ...over,
});

/** A source over real indexes, and engines that publish. */
class World {
  readonly clock = new ManualClock();
  readonly index = new BlockIndex({ secret, clock: this.clock, expectedFor });
  readonly book = new HolderBook();
  readonly fallback = new ApproximateIndex();
  readonly source = new EventsSource({ index: this.index, secret, book: this.book, fallback: this.fallback, group });
  private hash = 0;

  engine(slot: number, ranks = 1, live = true): Holder[] {
    const holders = Array.from({ length: ranks }, () => this.index.open() ?? -1);
    this.book.set(slot, holders, live);
    return holders;
  }

  /** The engine stores all full blocks of a prompt. */
  stores(holder: Holder, { ids, lora, salt }: PromptTokens, blockSize = 16): void {
    const count = Math.floor(ids.length / blockSize);
    this.index.stored(holder, {
      count,
      hashes: Uint32Array.from({ length: 2 * count }, () => (this.hash += 1)),
      hasParent: false,
      parentLow: 0,
      parentHigh: 0,
      tokens: ids.subarray(0, count * blockSize),
      blockSize,
      lora,
      salt,
      extras: null,
      tier: Tier.gpu,
    });
  }

  /** Cached tokens found on each of the first `count` slots, and the length of the prompt. */
  found(asked: PromptTokens | null, count: number, text = 'x'): number[] {
    const candidates = candidatesOf(endpoints(count), 1000);
    this.source.match(this.ask(asked, text), candidates, candidates.cachedTokens);
    return [...candidates.cachedTokens.subarray(0, count), candidates.promptTokens];
  }

  routed(asked: PromptTokens | null, slot: number, text = 'x'): void {
    this.source.routed(this.ask(asked, text), slot);
  }

  private ask(asked: PromptTokens | null, text: string) {
    const tokens = asked === null ? null : new Map([[group, asked]]);
    return request({ prompt: promptOf(text), known: { managerHits: null, tokens } });
  }
}

describe('hits that events tell of', () => {
  it('are the blocks from the first on that each engine has', () => {
    const world = new World();
    const [a] = world.engine(0);
    const [b] = world.engine(1);
    world.engine(2);
    world.stores(a, prompt(idsOf(64)));
    world.stores(b, prompt(Uint32Array.of(...idsOf(32), ...idsOf(32, 500))));
    expect(world.found(prompt(idsOf(70)), 3)).toEqual([64, 32, 0, 70]);
  });

  it.each([
    [63, 48],
    [64, 48],
    [65, 64],
    [16, 0],
    [1, 0],
  ])('never count the last token, which is computed anew: of a prompt of %i tokens, %i', (length, hit) => {
    const world = new World();
    world.stores(world.engine(0)[0], prompt(idsOf(64)));
    expect(world.found(prompt(idsOf(length)), 1)).toEqual([hit, length]);
  });

  it("are those of the best of an engine's ranks", () => {
    const world = new World();
    const [, second] = world.engine(0, 2);
    world.stores(second, prompt(idsOf(32)));
    expect(world.found(prompt(idsOf(40)), 1)[0]).toBe(32);
  });

  it.each<[string, Partial<PromptTokens>]>([
    ['adapter', { lora: 'sql' }],
    ['cache salt', { salt: 'tenant' }],
  ])('count for the same %s only', (_name, over) => {
    const world = new World();
    world.stores(world.engine(0)[0], prompt(idsOf(32), over));
    expect(world.found(prompt(idsOf(40)), 1)[0]).toBe(0);
    expect(world.found(prompt(idsOf(40), over), 1)[0]).toBe(32);
  });

  it('are found on engines of different block sizes alike', () => {
    const world = new World();
    world.stores(world.engine(0)[0], prompt(idsOf(96)), 16);
    world.stores(world.engine(1)[0], prompt(idsOf(96)), 32);
    world.stores(world.engine(2)[0], prompt(idsOf(96)), 64);
    expect(world.found(prompt(idsOf(90)), 3)).toEqual([80, 64, 64, 90]);
  });
});

describe('what has just been routed', () => {
  it('counts as cached at once, and no longer than it takes events to come', () => {
    const world = new World();
    world.stores(world.engine(0)[0], prompt(idsOf(16, 900)));
    world.routed(prompt(idsOf(40)), 0);
    expect(world.found(prompt(idsOf(50)), 1)[0]).toBe(32);
    world.clock.advance(expectedFor + 1);
    expect(world.found(prompt(idsOf(50)), 1)[0]).toBe(0);
  });

  it('is expected of the prompt that was routed, whichever was asked for last', () => {
    const world = new World();
    world.stores(world.engine(0)[0], prompt(idsOf(16, 900)));
    world.found(prompt(idsOf(40, 300)), 1);
    world.routed(prompt(idsOf(40)), 0);
    expect(world.found(prompt(idsOf(50)), 1)[0]).toBe(32);
    expect(world.found(prompt(idsOf(50, 300)), 1)[0]).toBe(0);
  });

  it('counts on an engine that has not said yet how large its blocks are, once another one has', () => {
    const world = new World();
    world.stores(world.engine(0)[0], prompt(idsOf(16, 900)));
    world.engine(1);
    world.routed(prompt(idsOf(40, 300)), 0);
    world.routed(prompt(idsOf(40)), 1);
    expect(world.found(prompt(idsOf(50)), 2)).toEqual([0, 32, 50]);
    world.clock.advance(expectedFor + 1);
    expect(world.found(prompt(idsOf(50)), 2)).toEqual([0, 0, 50]);
  });

  it('is taken back by the events of an engine whose blocks turn out to be of another size', () => {
    const world = new World();
    world.stores(world.engine(0)[0], prompt(idsOf(16, 900)));
    const [other] = world.engine(1);
    world.routed(prompt(idsOf(40, 300)), 0);
    world.routed(prompt(idsOf(140)), 1);
    world.stores(other, prompt(idsOf(64)), 64);
    expect(world.found(prompt(idsOf(140)), 2)).toEqual([0, 64, 140]);
  });

  it('is guessed of an engine that has not said yet how large its blocks are', () => {
    const world = new World();
    world.engine(0);
    world.routed(prompt(idsOf(40)), 0, 'y'.repeat(512));
    expect(world.found(prompt(idsOf(140)), 1, 'y'.repeat(512))).toEqual([128, 140]);
  });
});

describe('hits are guessed', () => {
  const text = 'z'.repeat(512);

  it('for a prompt without tokens', () => {
    const world = new World();
    world.stores(world.engine(0)[0], prompt(idsOf(64)));
    world.routed(null, 0, text);
    expect(world.found(null, 1, text)[0]).toBe(128);
  });

  it('for engines whose events do not arrive, and for no others', () => {
    const world = new World();
    const holders = [world.engine(0)[0], world.engine(1, 1, false)[0]];
    for (const holder of holders) world.stores(holder, prompt(idsOf(32)));
    for (const slot of [0, 1]) world.fallback.routed(request({ prompt: promptOf(text) }), slot);
    expect(world.found(prompt(idsOf(140)), 2, text)).toEqual([32, 128, 140]);
    world.book.drop(0);
    expect(world.found(prompt(idsOf(140)), 2, text)).toEqual([128, 128, 140]);
  });

  it('and learn from what those engines say, and from no others', () => {
    const lessons: number[] = [];
    const fallback: PrefixSource = {
      match: () => undefined,
      routed: () => undefined,
      answered: (slot) => void lessons.push(slot),
      forget: (slot) => void lessons.push(-slot),
    };
    const world = new World();
    world.engine(1);
    world.engine(2, 1, false);
    const source = new EventsSource({ index: world.index, secret, book: world.book, fallback, group });
    for (const slot of [1, 2, 3]) source.answered(slot, 1, 0);
    source.forget(1);
    expect(lessons).toEqual([2, 3, -1]);
  });
});
