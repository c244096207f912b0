import { describe, expect, it } from 'vitest';
import { endpoint, pairGroup } from '../../test/fixtures/fleet.ts';
import type { Endpoint } from './endpoint.ts';
import { PairGrouping } from './pair-grouping.ts';

const labels = { role: 'role', group: 'group', prefill: 'P', decode: 'D', leader: 'L' };
const seeds = new PairGrouping({
  role: 'openfuyao.com/pdRole',
  group: 'openfuyao.com/pdGroupID',
  prefill: 'prefill',
  decode: 'decode',
  leader: 'leader',
});
const names = (list: readonly Endpoint[]): string[] => list.map(({ name }) => name);

describe('PairGrouping', () => {
  it('arranges endpoints by their labels, whatever order they come in', () => {
    const [p0, p1, d, l] = pairGroup({ name: 'a', from: 0, prefills: 2, decodes: 1 });
    const [q, e, m] = pairGroup({ name: 'b', from: 4, prefills: 1, decodes: 1 });
    const groups = seeds.groupsOf([m, d, p1, e, l, q, p0]);
    expect(groups.map(({ name }) => name)).toEqual(['b', 'a']);
    expect(names(groups[0].prefills)).toEqual(['b-p0']);
    expect(names(groups[1].prefills)).toEqual(['a-p1', 'a-p0']);
    expect(names(groups[1].decodes)).toEqual(['a-d2']);
    expect(names(groups[1].leaders)).toEqual(['a-l3']);
  });

  it('goes by the labels and values that it is given', () => {
    const grouping = new PairGrouping(labels);
    const member = endpoint(0, { labels: { role: 'D', group: '7' } });
    expect([grouping.roleOf(member), grouping.groupOf(member), grouping.misfit(member)]).toEqual(['decode', '7', null]);
    expect(seeds.groupsOf([member])).toEqual([]);
  });

  it.each<[string, Record<string, string>, string]>([
    ['no role', { group: '7' }, 'no label role, not P, D or L'],
    ['another role', { role: 'aggregate', group: '7' }, 'role is aggregate, not P, D or L'],
    ['no group', { role: 'P' }, 'no label group'],
    ['an empty group', { role: 'P', group: '' }, 'no label group'],
  ])('leaves out and explains an endpoint with %s', (_sentence, found, reason) => {
    const grouping = new PairGrouping(labels);
    const misfit = endpoint(0, { labels: found });
    expect(grouping.groupsOf([misfit])).toEqual([]);
    expect(grouping.misfit(misfit)).toBe(reason);
  });

  it('knows no role or group by a name that every object has by birth', () => {
    const grouping = new PairGrouping({ ...labels, role: 'constructor', group: 'toString' });
    expect(grouping.roleOf(endpoint(0))).toBeNull();
    expect(grouping.groupOf(endpoint(0))).toBeNull();
    expect(grouping.misfit(endpoint(0))).toBe('no label constructor, not P, D or L');
  });

  it.each([
    ['4', 4],
    [undefined, 1],
    ['', 1],
    ['0', 1],
    ['-2', 1],
    ['2.5', 1],
    ['many', 1],
  ])('reads the tensor-parallel size %s as %d', (text, size) => {
    const member = endpoint(0, {
      labels: { role: 'P', group: 'a', ...(text === undefined ? {} : { 'openfuyao.com/tpSize': text }) },
    });
    expect([...new PairGrouping(labels).groupsOf([member])[0].prefillSizes]).toEqual([size]);
  });

  it('arranges a list of endpoints once', () => {
    const list = pairGroup({ name: 'a', from: 0, prefills: 1, decodes: 1 });
    expect(seeds.groupsOf(list)).toBe(seeds.groupsOf(list));
    expect(seeds.groupsOf([...list])).not.toBe(seeds.groupsOf(list));
  });
});
