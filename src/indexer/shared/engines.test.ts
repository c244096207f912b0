import { describe, expect, it } from 'vitest';
import { Engines } from './engines.ts';

const at = (slot: number, n = slot) => ({ slot, name: `e${n}`, address: `10.0.0.${n}:8000` });

function engines(starts: Record<number, number> = {}) {
  const made = new Engines((slot) => starts[slot] ?? 0);
  made.reconcile([at(0), at(1)]);
  return made;
}

function nameOf(of: Engines, slot: number) {
  const name = of.nameOf(slot);
  if (name === null) throw new Error('an engine has a name');
  return name;
}

describe('Engines', () => {
  it('name an engine alike whatever its slot', () => {
    const other = new Engines(() => 0);
    other.reconcile([at(5, 1)]);
    expect(other.slotOf(nameOf(engines(), 1))).toBe(5);
    expect(other.slotOf(nameOf(engines(), 0))).toBe(-1);
    expect(other.nameOf(3)).toBeNull();
  });

  it('tell which new ones the stream has told of before, and which slots changed hands', () => {
    const known = engines();
    const later = new Engines(() => 0);
    expect(later.slotOf(nameOf(known, 1))).toBe(-1);
    expect(later.reconcile([at(0), at(1)])).toEqual({ changed: [0, 1], missed: [1] });
    expect(later.reconcile([at(0), at(1)])).toEqual({ changed: [], missed: [] });
    expect(later.reconcile([at(0)])).toEqual({ changed: [1], missed: [] });
    // It comes back elsewhere: what was learnt of it went with its slot.
    expect(later.reconcile([at(0), at(2, 1)])).toEqual({ changed: [2], missed: [2] });
  });

  it('judge by the latest life that anybody told', () => {
    const starts: Record<number, number> = {};
    const known = engines(starts);
    expect(known.judge(0, 0)).toBe('current');
    expect(known.judge(0, 100)).toBe('current');
    expect(known.judge(0, 0)).toBe('current');
    expect(known.judge(0, 50)).toBe('stale');
    expect(known.judge(0, 200)).toBe('restarted');
    expect(known.judge(0, 100)).toBe('stale');
    starts[0] = 200;
    expect(known.outlived(0)).toBe(false);
    starts[0] = 300;
    expect(known.outlived(0)).toBe(true);
    expect(known.outlived(0)).toBe(false);
    expect(known.life(0)).toBe(300);
  });

  it('forget the life with the slot', () => {
    const known = engines();
    known.judge(0, 100);
    known.reconcile([at(0, 7), at(1)]);
    expect(known.life(0)).toBe(0);
  });
});
