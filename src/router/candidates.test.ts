import { describe, expect, it } from 'vitest';
import { endpoint, endpoints } from '../../test/fixtures/fleet.ts';
import { Candidates } from './candidates.ts';

describe('Candidates', () => {
  it('holds endpoints and their slots in the order they were pushed, with nothing cached', () => {
    const candidates = new Candidates();
    candidates.push(endpoint(5));
    candidates.push(endpoint(2));
    expect(candidates.length).toBe(2);
    expect(candidates.endpoints.slice(0, 2).map(({ slot }) => slot)).toEqual([5, 2]);
    expect([...candidates.slots.subarray(0, 2)]).toEqual([5, 2]);
    expect([...candidates.cachedTokens.subarray(0, 2)]).toEqual([0, 0]);
  });

  it('forgets what was cached for the decision before', () => {
    const candidates = new Candidates();
    candidates.push(endpoint(5));
    candidates.cachedTokens[0] = 99;
    candidates.clear();
    candidates.push(endpoint(6));
    expect(candidates.length).toBe(1);
    expect(candidates.cachedTokens[0]).toBe(0);
  });

  it('grows to any number without losing what it holds', () => {
    const candidates = new Candidates();
    for (const item of endpoints(1000)) {
      candidates.push(item);
      candidates.cachedTokens[candidates.length - 1] = item.slot * 10;
    }
    expect(candidates.slots.length).toBeGreaterThanOrEqual(1000);
    for (let i = 0; i < 1000; i++) {
      expect(candidates.slots[i]).toBe(i);
      expect(candidates.cachedTokens[i]).toBe(i * 10);
    }
  });

  it('changes the places of two candidates', () => {
    const candidates = new Candidates();
    for (const item of endpoints(3)) candidates.push(item);
    candidates.swap(2, 0);
    candidates.swap(1, 1);
    expect(candidates.endpoints.map(({ slot }) => slot)).toEqual([2, 1, 0]);
    expect([...candidates.slots.subarray(0, 3)]).toEqual([2, 1, 0]);
  });

  it('forgets whom the decision before has left out', () => {
    const candidates = new Candidates();
    candidates.spared = 3;
    candidates.clear();
    expect(candidates.spared).toBe(0);
  });
});
