import { describe, expect, it } from 'vitest';
import { Ledger } from './ledger.ts';

describe('Ledger', () => {
  it('lets the oldest go beyond the size', () => {
    const ledger = new Ledger(1024 * 1024, 1e9);
    for (let i = 1; i <= 100; i++) ledger.add(`${i}-0`, 32 * 1024);
    const from = ledger.trim();
    expect(ledger.bytes).toBeLessThanOrEqual(1024 * 1024);
    expect(ledger.bytes).toBeGreaterThan(700 * 1024);
    // What is counted is what has that id or a later one.
    expect(ledger.bytes).toBe((101 - Number.parseInt(from ?? '', 10)) * (32 * 1024 + 64));
    expect(ledger.trim()).toBeNull();
  });

  it('lets go what is too old, by the clock of the server', () => {
    const ledger = new Ledger(1e9, 60_000);
    for (let i = 0; i <= 10; i++) ledger.add(`${1000 + i * 20_000}-3`, 200 * 1024);
    // The entries from 121 to before 141 s are one segment, which ends within the last minute.
    expect(ledger.trim()).toBe('121000-3');
  });

  it('keeps what fits, and starts anew', () => {
    const ledger = new Ledger(1e9, 1e9);
    expect(ledger.trim()).toBeNull();
    ledger.add('5-0', 10);
    expect(ledger.trim()).toBeNull();
    ledger.clear();
    expect(ledger.bytes).toBe(0);
  });
});
