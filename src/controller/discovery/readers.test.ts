import { beforeEach, describe, expect, it } from 'vitest';
import type { References } from './finding.ts';
import { Readers } from './readers.ts';

let readers: Readers;
beforeEach(() => {
  readers = new Readers();
});

const reading = (changes: Partial<References>): References => ({
  services: new Set(),
  pools: new Set(),
  pods: new Set(),
  podSelector: null,
  serviceSelector: null,
  ...changes,
});
const ofPod = (name: string, labels = {}): string[] => {
  const groups = new Set<string>();
  readers.ofPod(name, [labels], groups);
  return [...groups].sort();
};

describe('Readers', () => {
  it('forgets what a group no longer reads', () => {
    readers.set('g', reading({ pods: new Set(['a', 'b']), podSelector: { app: 'x' } }));
    expect([ofPod('a'), ofPod('b'), ofPod('c', { app: 'x' })]).toEqual([['g'], ['g'], ['g']]);
    readers.set('g', reading({ pods: new Set(['b']), podSelector: { app: 'y' } }));
    expect([ofPod('a'), ofPod('b'), ofPod('c', { app: 'x' })]).toEqual([[], ['g'], []]);
    expect(ofPod('c', { app: 'y' })).toEqual(['g']);
    readers.remove('g');
    expect([ofPod('b'), ofPod('c', { app: 'y' })]).toEqual([[], []]);
  });

  it('finds several readers, each by all the labels of its selector', () => {
    readers.set('x', reading({ podSelector: { app: 'vllm', model: 'x' } }));
    readers.set('y', reading({ podSelector: { app: 'vllm', model: 'y' } }));
    readers.set('all', reading({ podSelector: { app: 'vllm' } }));
    readers.set('none', reading({ podSelector: {} }));
    expect(ofPod('a', { app: 'vllm', model: 'x' })).toEqual(['all', 'x']);
    expect(ofPod('a', { app: 'vllm' })).toEqual(['all']);
    expect(ofPod('a', { model: 'x' })).toEqual([]);
  });
});
