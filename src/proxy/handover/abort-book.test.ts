import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { endpoint } from '../../../test/fixtures/fleet.ts';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { RoutingTable } from '../../router/table.ts';
import { AbortBook, type BlockHold } from './abort-book.ts';

const p = endpoint(0);
const other = endpoint(1);

function book(): { clock: ManualClock; aborts: AbortBook } {
  const clock = new ManualClock();
  return { clock, aborts: new AbortBook(clock) };
}

/** A request whose blocks are never read. */
function abandon(aborts: AbortBook, id: string, prefiller = p): void {
  const hold = aborts.open(prefiller, id);
  hold.delivered();
  hold.close(true);
}

describe('a notice', () => {
  it('goes with the next call to the prefiller that holds the blocks, and once', () => {
    const { aborts } = book();
    abandon(aborts, 'a');
    expect(aborts.open(other, 'x').notices).toEqual([]);
    const next = aborts.open(p, 'b');
    expect(next.notices).toEqual(['a']);
    next.delivered();
    next.close(false);
    expect(aborts.open(p, 'c').notices).toEqual([]);
  });

  it('is not made where the blocks were read', () => {
    const { aborts } = book();
    const hold = aborts.open(p, 'a');
    hold.close(false);
    hold.close(true);
    expect(aborts.owed(p)).toEqual([]);
  });

  it('is owed again, for no longer than before, when the call that carried it fails', () => {
    const { aborts, clock } = book();
    abandon(aborts, 'a');
    clock.advance(400_000);
    const failed = aborts.open(p, 'b');
    expect(failed.notices).toEqual(['a']);
    expect(aborts.owed(p)).toEqual([]);
    failed.close(true);
    expect(aborts.owed(p)).toEqual(['a', 'b']);
    clock.advance(80_000);
    expect(aborts.owed(p)).toEqual(['b']);
  });

  it('is forgotten when the longest lease is over', () => {
    const { aborts, clock } = book();
    abandon(aborts, 'a');
    clock.advance(479_999);
    expect(aborts.owed(p)).toEqual(['a']);
    clock.advance(1);
    expect(aborts.open(p, 'b').notices).toEqual([]);
  });

  it('waits while another request of the same id uses the prefiller', () => {
    const { aborts } = book();
    const first = aborts.open(p, 'a');
    const second = aborts.open(p, 'a');
    first.close(true);
    expect(aborts.open(p, 'b').notices).toEqual([]);
    second.close(false);
    expect(aborts.open(p, 'c').notices).toEqual(['a']);
  });

  it('never goes with the request of its own id', () => {
    const { aborts } = book();
    abandon(aborts, 'a');
    const again = aborts.open(p, 'a');
    expect(again.notices).toEqual([]);
    again.close(false);
    expect(aborts.owed(p)).toEqual(['a']);
  });

  it('is one of 256 at most in one call', () => {
    const { aborts } = book();
    for (let i = 0; i < 300; i++) abandon2(aborts, `r${i}`);
    const first = aborts.open(p, 'x');
    first.delivered();
    expect(first.notices).toHaveLength(256);
    expect(first.notices[0]).toBe('r0');
    expect(aborts.open(p, 'y').notices).toHaveLength(44);
  });

  it('is left to the lease where a prefiller is owed more than 4096', () => {
    const { aborts } = book();
    for (let i = 0; i < 5000; i++) abandon2(aborts, `r${i}`);
    expect(aborts.owed(p)).toHaveLength(4096);
    expect(aborts.owed(p).at(-1)).toBe('r4999');
  });
});

/** The same without taking what is owed. */
function abandon2(aborts: AbortBook, id: string): void {
  aborts.open(p, id).close(true);
}

describe('prefillers that are gone', () => {
  it('are forgotten, once no request uses them', () => {
    const { aborts } = book();
    abandon(aborts, 'a');
    const hold = aborts.open(other, 'b');
    aborts.retain(new RoutingTable(1, [], new Map()));
    expect(aborts.owed(p)).toEqual([]);
    hold.close(true);
    expect(aborts.owed(other)).toEqual(['b']);
    aborts.retain(new RoutingTable(2, [], new Map()));
    expect(aborts.owed(other)).toEqual([]);
  });
});

describe('the book', () => {
  it('tells every abandoned id, and none that is in use, whatever happens', () => {
    const step = fc.record({ id: fc.constantFrom('a', 'b', 'c'), open: fc.boolean(), unread: fc.boolean(), told: fc.boolean() }); // prettier-ignore
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { aborts } = book();
        const open: { id: string; hold: BlockHold; told: boolean }[] = [];
        const abandoned = new Set<string>();
        for (const { id, open: opens, unread, told } of steps) {
          if (opens) {
            const hold = aborts.open(p, id);
            for (const notice of hold.notices) expect(open.map((one) => one.id)).not.toContain(notice);
            if (told) hold.delivered();
            for (const notice of told ? hold.notices : []) abandoned.delete(notice);
            open.push({ id, hold, told });
          } else {
            const ended = open.shift();
            ended?.hold.close(unread);
            if (ended !== undefined && unread) abandoned.add(ended.id);
          }
        }
        for (const { hold } of open) hold.close(false);
        expect([...aborts.owed(p)].sort()).toEqual([...abandoned].sort());
      }),
    );
  });
});
