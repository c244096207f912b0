import { beforeEach, describe, expect, it } from 'vitest';
import { ScoreBook, type BookedDecision, type BookedEndpoint, type BookedPolicy } from './score-book.ts';

let now: number;
let book: ScoreBook<BookedDecision>;
beforeEach(() => {
  now = 1_000_000;
  book = new ScoreBook({ now: () => now, wallTime: () => now + 5 });
});

const one = { key: 'ns/one' };
const two = { key: 'ns/two' };

function endpoint(slot: number, over: Partial<BookedEndpoint> = {}): BookedEndpoint {
  return { slot, name: `e${slot}`, address: `10.0.0.${slot}:8000`, group: 'ns/g', ...over };
}

function policy(endpoints: readonly BookedEndpoint[], key = one.key): BookedPolicy {
  return { key, backends: [{ group: { name: 'g', endpoints } }] };
}

/** Scores of endpoints as one decision saw them; null is no candidate. */
function decision(scores: Readonly<Record<string, number | null>>, scorers = ['s']): BookedDecision {
  const endpoints = Object.entries(scores).map(([name, score]) => ({
    group: 'g',
    endpoint: name,
    address: `10.0.0.${name.slice(1)}:8000`,
    score,
    parts: score === null ? [] : scorers.map((scorer) => ({ scorer, value: score / 2, weight: 2 })),
  }));
  return { policy: one.key, endpoints };
}

function pick(asked: { readonly key: string }, picked: BookedEndpoint, times = 1): void {
  for (let i = 0; i < times; i++) {
    book.watches(asked);
    book.picked(picked);
  }
}

function look(scores: Readonly<Record<string, number | null>>, scorers?: string[]): void {
  book.watches(one);
  book.explained(decision(scores, scorers));
}

/** Names with their picks, as the book tells them. */
function picks(...endpoints: BookedEndpoint[]): [string, number][] {
  return book.scores(policy(endpoints)).map(({ name, picks: count }) => [name, count]);
}

describe('which decisions are explained', () => {
  it('is the first of a policy, and after 200 ms the next', () => {
    const asked = [0, 0, 100, 99, 1, 0, 199, 1].map((pause) => {
      now += pause;
      return book.watches(one);
    });
    expect(asked).toEqual([true, false, false, false, true, false, false, true]);
  });

  it('is each policy by itself, however decisions alternate', () => {
    expect([one, two, one, two].map((asked) => book.watches(asked))).toEqual([true, true, false, false]);
  });

  it('is a single one after a pause, so that one curl is always seen', () => {
    book.watches(one);
    now += 3_600_000;
    expect(book.watches(one)).toBe(true);
  });
});

describe('the last decision', () => {
  it('is that of the policy, with its time', () => {
    const first = decision({ e0: 1 });
    const second = decision({ e0: 2 });
    book.watches(one);
    book.explained(first);
    book.watches(two);
    book.explained(second);
    expect(book.last(one.key)).toEqual({ at: 1_000_005, decision: first });
    expect(book.last(two.key)?.decision).toBe(second);
    expect(book.last('ns/other')).toBeNull();
  });

  it('goes with its policy', () => {
    look({ e0: 1 });
    book.retain([two.key]);
    expect(book.last(one.key)).toBeNull();
    look({ e0: 2 });
    expect(book.last(one.key)).not.toBeNull();
  });

  it('stays while its policy does', () => {
    look({ e0: 1 });
    book.retain([one.key]);
    expect(book.last(one.key)).not.toBeNull();
  });
});

describe('picks', () => {
  it('are counted by policy and endpoint, the most first', () => {
    pick(one, endpoint(0), 2);
    pick(one, endpoint(1), 3);
    pick(two, endpoint(0), 5);
    expect(picks(endpoint(0), endpoint(1), endpoint(2))).toEqual([
      ['e1', 3],
      ['e0', 2],
    ]);
  });

  it('are those of the last minute', () => {
    pick(one, endpoint(0), 4);
    now += 30_000;
    pick(one, endpoint(0), 2);
    now += 29_000;
    expect(picks(endpoint(0))).toEqual([['e0', 6]]);
    now += 2_000;
    expect(picks(endpoint(0))).toEqual([['e0', 2]]);
    now += 30_000;
    expect(picks(endpoint(0))).toEqual([]);
  });

  const successors: [string, Partial<BookedEndpoint>, number][] = [
    ['another name', { name: 'new' }, 1],
    ['another address', { address: '10.9.9.9:8000' }, 1],
    ['another group', { group: 'ns/h' }, 1],
    ['new labels only', {}, 4],
  ];
  it.each(successors)('of a slot whose endpoint now has %s', (_name, over, count) => {
    pick(one, endpoint(7), 3);
    const successor = endpoint(7, over);
    expect(picks(successor)).toEqual(count === 4 ? [['e7', 3]] : []);
    pick(one, successor);
    expect(picks(successor)).toEqual([[successor.name, count]]);
  });

  it('are told of endpoints in the table only', () => {
    pick(one, endpoint(0));
    pick(one, endpoint(1));
    expect(picks(endpoint(1))).toEqual([['e1', 1]]);
  });

  it('of many endpoints are told for the 64 with the most', () => {
    const many = Array.from({ length: 100 }, (_, slot) => endpoint(slot));
    many.forEach((each, i) => pick(one, each, i + 1));
    const told = picks(...many);
    expect(told).toHaveLength(64);
    expect([told[0], told[63]]).toEqual([
      ['e99', 100],
      ['e36', 37],
    ]);
  });
});

describe('scores', () => {
  it('are means of the decisions that were looked at, with those of their parts', () => {
    look({ e0: 1, e1: 10 });
    look({ e0: 2, e1: null });
    expect(book.scores(policy([endpoint(0), endpoint(1), endpoint(2)]))).toEqual([
      { name: 'e0', group: 'g', picks: 0, score: 1.5, breakdown: [{ scorer: 's', value: 0.75, weight: 2 }] },
      { name: 'e1', group: 'g', picks: 0, score: 10, breakdown: [{ scorer: 's', value: 5, weight: 2 }] },
    ]);
  });

  it('of more than a minute ago do not count', () => {
    const mean = (): number | undefined => book.scores(policy([endpoint(0)]))[0]?.score;
    look({ e0: 10 });
    now += 30_000;
    look({ e0: 20 });
    expect(mean()).toBe(15);
    now += 30_000;
    expect(mean()).toBe(20);
    now += 30_000;
    expect(mean()).toBeUndefined();
    look({ e0: 30 });
    now += 61_000;
    expect(mean()).toBeUndefined();
  });

  it('begin anew with other scorers', () => {
    look({ e0: 10 });
    look({ e0: 1 }, ['s', 't']);
    expect(book.scores(policy([endpoint(0)]))[0]).toMatchObject({
      score: 1,
      breakdown: [{ scorer: 's' }, { scorer: 't' }],
    });
  });

  it('have six digits', () => {
    look({ e0: 1 });
    look({ e0: 1 });
    look({ e0: 2 });
    expect(book.scores(policy([endpoint(0)]))[0].score).toBe(1.33333);
  });

  it('of an endpoint at another address are not its', () => {
    look({ e0: 1 });
    expect(book.scores(policy([endpoint(0, { address: '10.9.9.9:8000' })]))).toEqual([]);
  });

  it('are none for a policy without decisions', () => {
    expect(book.scores(policy([endpoint(0)]))).toEqual([]);
  });

  it('and picks go with their policy', () => {
    look({ e0: 1 });
    pick(one, endpoint(0));
    book.retain([]);
    expect(book.scores(policy([endpoint(0)]))).toEqual([]);
    pick(one, endpoint(0));
    expect(picks(endpoint(0))).toEqual([['e0', 1]]);
  });
});
