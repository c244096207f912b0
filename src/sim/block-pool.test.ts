import { expect, test } from 'vitest';
import { BlockPool } from './block-pool.ts';

function removedFrom(): { pool: BlockPool; removed: string[] } {
  const removed: string[] = [];
  const pool = new BlockPool(4, { removed: (high, low) => removed.push(`${high}:${low}`) });
  return { pool, removed };
}

test('content is forgotten in the order in which it became free, and a hit saves it', () => {
  const { pool, removed } = removedFrom();
  const blocks = [1, 2, 3, 4].map((n) => {
    const block = pool.take();
    pool.register(block, n, n);
    return block;
  });
  for (const block of blocks) pool.release(block);
  pool.hold(blocks[0]);
  pool.release(blocks[0]);
  pool.take();
  pool.take();
  expect(removed).toEqual(['2:2', '3:3']);
  expect(pool.find(1, 1)).toBe(blocks[0]);
  expect(pool.find(2, 2)).toBe(-1);
});

test('a block without content is taken before any that could be hit', () => {
  const { pool, removed } = removedFrom();
  const [a, b, c, d] = [pool.take(), pool.take(), pool.take(), pool.take()];
  pool.register(a, 1, 1);
  for (const block of [a, b, c, d]) pool.release(block);
  pool.take();
  pool.take();
  pool.take();
  expect(removed).toEqual([]);
});

test('a shared block is free only when its last holder lets go', () => {
  const { pool } = removedFrom();
  const block = pool.take();
  pool.hold(block);
  pool.release(block);
  expect([pool.used, pool.isFree(block)]).toEqual([1, false]);
  pool.release(block);
  expect([pool.used, pool.isFree(block)]).toEqual([0, true]);
});

test('the same content is cached once', () => {
  const { pool } = removedFrom();
  expect(pool.register(pool.take(), 7, 7)).toBe(true);
  expect(pool.register(pool.take(), 7, 7)).toBe(false);
  expect(pool.cached).toBe(1);
});

test('hashes that differ only in bits beyond the index key are told apart', () => {
  const { pool } = removedFrom();
  pool.register(pool.take(), 7, 0x800);
  expect(pool.find(7, 0x801)).toBe(-1);
});

test('taking from an empty pool says what to do', () => {
  const { pool } = removedFrom();
  for (let i = 0; i < 4; i++) pool.take();
  expect(() => pool.take()).toThrow(/check `free`/);
});
