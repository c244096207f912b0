import { describe, expect, it } from 'vitest';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { kvManagerOf, kvManagerParameters } from './kv-manager.ts';

describe('kvManagerOf', () => {
  it("is seed 2's default where the scorer says nothing, in milliseconds", () => {
    for (const type of ['scorer-aggregate-kv-cache-aware', 'scorer-pd-kv-cache-aware']) {
      expect(kvManagerOf({ scorers: [{ type: 'queue-scorer' }, { type }] })).toEqual({
        host: 'cache-indexer-service',
        port: 8080,
        path: '/match_sort',
        timeout: 5000,
      });
    }
  });

  it('is what the scorer names, other parameters aside', () => {
    const parameters = Object.freeze({
      xpuCacheUsageWeight: 2,
      kvCacheManagerIP: '10.1.2.3',
      kvCacheManagerPort: 81,
      kvCacheManagerPath: '/hits',
      kvCacheManagerTimeout: 1_500_000,
    });
    expect(kvManagerOf({ scorers: [{ type: 'scorer-pd-kv-cache-aware', parameters }] })).toEqual({
      host: '10.1.2.3',
      port: 81,
      path: '/hits',
      timeout: 1.5,
    });
  });

  it('is none where no scorer reads the hits of a manager', () => {
    expect(kvManagerOf({})).toBeNull();
    expect(kvManagerOf({ scorers: [{ type: 'scorer-auto' }] })).toBeNull();
  });

  it('does not take parameters that were never checked', () => {
    const scorers = [{ type: 'scorer-pd-kv-cache-aware', parameters: { kvCacheManagerPort: 'x' } }];
    expect(() => kvManagerOf({ scorers })).toThrow(TypeError);
  });
});

describe('the address of a KV manager', () => {
  const accepts = (over: Record<string, unknown>): boolean =>
    Value.Check(Type.Object(kvManagerParameters), Value.Default(Type.Object(kvManagerParameters), over));
  it.each([
    ['a name', { kvCacheManagerIP: 'indexer.ns.svc' }, true],
    ['an IPv4 address', { kvCacheManagerIP: '10.0.0.1' }, true],
    ['an IPv6 address', { kvCacheManagerIP: 'fd00::1' }, true],
    ['a URL', { kvCacheManagerIP: 'http://x' }, false],
    ['a name with a port', { kvCacheManagerIP: 'x:80' }, false],
    ['a path without a slash', { kvCacheManagerPath: 'x' }, false],
    ['a path with a space', { kvCacheManagerPath: '/a b' }, false],
    ['no port at all', { kvCacheManagerPort: 0 }, false],
    ['seconds for nanoseconds', { kvCacheManagerTimeout: 5 }, false],
  ])('%s', (_sentence, over, fine) => {
    expect(accepts(over)).toBe(fine);
  });
});
