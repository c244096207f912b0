import { describe, expect, it } from 'vitest';
import { cacheConditions, CacheWatch, type CacheParts } from './cache-conditions.ts';

type Facts = {
  readonly [Part in 'follower' | 'stores' | 'managers']?: ReadonlyMap<string, unknown>;
};

/** Parts that know nothing but these facts. */
function parts({ follower = new Map(), stores = new Map(), managers = new Map() }: Facts): CacheParts {
  const made = {
    room: { follower: { groups: () => follower }, stores: { states: () => stores } },
    managers: { troubles: () => managers },
  };
  return made as unknown as CacheParts;
}

const told = (facts: Facts): string[] =>
  (cacheConditions(parts(facts)).get('ns/g') ?? []).map(({ type, status, reason, message }) => `${type} ${status} ${reason}: ${message}`); // prettier-ignore

describe('what is known of the caches of a group', () => {
  const cases: [string, Facts, string[]][] = [
    ['hangs on nobody: no condition', {}, []],
    ['is told by events', { follower: new Map([['ns/g', { live: 2, total: 2, trouble: null }]]) }, ['CacheKnown True CacheKnown: the KV events of all endpoints arrive']],
    ['is told by some only', { follower: new Map([['ns/g', { live: 1, total: 3, trouble: { endpoint: 'e2', reason: 'connecting' } }]]) }, ['CacheKnown False EventsMissing: the KV events of 2 of 3 endpoints do not arrive (e2: connecting); their hits are guessed from what was sent']],
    ['is told by a manager', { managers: new Map([['ns/g', null]]) }, ['CacheKnown True CacheKnown: the KV manager answers']],
    ['is not told by a manager that fails', { managers: new Map([['ns/g', 'timeout']]) }, ['CacheKnown False ManagerFailing: the KV manager gives no answer (timeout); requests go without its hits']],
    ['is shared', { stores: new Map([['ns/g', { shared: true, reason: '' }]]) }, ['CacheKnown True CacheKnown: prefixes are shared with the other replicas']],
    ['is not shared, and says why', { stores: new Map([['ns/g', { shared: false, reason: 'Refused: no' }]]) }, ['CacheKnown False NotShared: prefixes are not shared (Refused: no); each replica goes by its own']],
    ['is another group’s matter', { managers: new Map([['ns/other', 'timeout']]) }, []],
  ]; // prettier-ignore
  it.each(cases)('%s', (_name, facts, expected) => {
    expect(told(facts)).toEqual(expected);
  });
});

describe('a watch over it', () => {
  it('names the groups of which something else is known than before, whether it came, changed or went', () => {
    const watch = new CacheWatch();
    const at = (failures: Record<string, string | null>) =>
      watch.look(cacheConditions(parts({ managers: new Map(Object.entries(failures)) })));
    expect(at({ a: null, b: null })).toEqual(['a', 'b']);
    expect(at({ a: null, b: null })).toEqual([]);
    expect(at({ a: 'timeout', b: null })).toEqual(['a']);
    expect(at({ a: 'timeout' })).toEqual(['b']);
  });
});
