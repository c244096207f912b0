import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { Flag, EndpointStates } from '../router/states.ts';
import { SlotAllocator, SlotsExhaustedError } from './slots.ts';

const seed = (name: string, labels: Record<string, string> = {}, address = `${name}:8000`) => ({
  name,
  address,
  labels,
  ports: {},
});
let states: EndpointStates;
let forgotten: number[];
let slots: SlotAllocator;
const take = (...args: Parameters<typeof seed>) => slots.take('ns/g', seed(...args)).endpoint;

beforeEach(() => {
  states = new EndpointStates(3);
  forgotten = [];
  slots = new SlotAllocator(states, (slot) => forgotten.push(slot));
});

/** Takes a slot, which must have no requests running unless it is the endpoint's own. */
function takeFresh(name: string, held: Map<string, number>): void {
  const before = [...states.inFlight];
  try {
    const { endpoint, resumed } = slots.take('ns/g', seed(name));
    held.set(name, endpoint.slot);
    if (!resumed) expect(before[endpoint.slot]).toBe(0);
  } catch (error) {
    expect(error).toBeInstanceOf(SlotsExhaustedError);
  }
}

describe('SlotAllocator', () => {
  it('makes a frozen endpoint', () => {
    const endpoint = take('a', { zone: 'x' });
    expect(endpoint).toEqual({
      id: 'ns/g/a',
      slot: 0,
      name: 'a',
      address: 'a:8000',
      group: 'ns/g',
      labels: { zone: 'x' },
    });
    expect(Object.isFrozen(endpoint) && Object.isFrozen(endpoint.labels)).toBe(true);
  });

  it('gives the same object while nothing has changed', () => {
    expect(take('a', { zone: 'x' })).toBe(take('a', { zone: 'x' }));
  });

  it.each([
    ['changed', { zone: 'y' }],
    ['added', { zone: 'x', more: '1' }],
    ['removed', {}],
  ])('keeps the slot and the books when a label is %s, in a new object', (_what, labels) => {
    const before = take('a', { zone: 'x' });
    states.inFlight[before.slot] = 2;
    const after = take('a', labels);
    expect(after).not.toBe(before);
    expect(after).toMatchObject({ slot: before.slot, labels });
    expect(states.inFlight[after.slot]).toBe(2);
    expect(take('a', labels)).toBe(after);
  });

  it.each([
    ['group', () => slots.take('ns/other', seed('a')).endpoint],
    ['address', () => take('a', {}, 'elsewhere:8000')],
    ['name', () => take('b', {}, 'a:8000')],
  ])('gives another slot for another %s', (_what, other) => {
    expect(take('a').slot).not.toBe(other().slot);
  });

  it('starts a slot from clean books, healthy and warm', () => {
    states.inFlight.fill(7);
    states.flags.fill(255);
    const { slot } = take('a');
    expect([states.inFlight[slot], states.flags[slot], states.warmth[slot]]).toEqual([0, Flag.healthy, 1]);
  });

  it('marks a released endpoint as draining and holds its slot until its last request has ended', () => {
    const { slot } = take('a');
    states.inFlight[slot] = 1;
    slots.release(take('a'));
    expect(states.isReady(slot)).toBe(false);
    expect(slots.sweep()).toEqual([]);
    expect([take('b').slot, take('c').slot]).not.toContain(slot);
    expect(() => take('d')).toThrow(SlotsExhaustedError);
    expect(forgotten).toEqual([]);
    states.inFlight[slot] = 0;
    expect(take('d').slot).toBe(slot);
    expect(forgotten).toEqual([slot]);
  });

  it('gives an endpoint that comes back while it drains its slot and books again', () => {
    const { slot } = take('a');
    states.inFlight[slot] = 1;
    slots.release(take('a'));
    const back = slots.take('ns/g', seed('a'));
    expect(back).toMatchObject({ resumed: true, endpoint: { slot } });
    expect([states.inFlight[slot], states.isReady(slot)]).toEqual([1, true]);
    expect([forgotten, slots.draining()]).toEqual([[], []]);
  });

  it('says what to do when there is no slot left', () => {
    ['a', 'b', 'c'].forEach((name) => take(name));
    expect(() => take('d')).toThrow('all 3 endpoint slots are in use: share the groups out');
    expect(take('c').slot).toBe(2);
  });

  it('never gives two living endpoints one slot, nor one with requests running to a new one', () => {
    const step = fc.tuple(fc.constantFrom('take', 'release', 'run', 'end', 'sweep'), fc.constantFrom(...'abcdef'));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        states = new EndpointStates(4);
        slots = new SlotAllocator(states, () => {});
        const held = new Map<string, number>();
        for (const [what, name] of steps) {
          const slot = held.get(name);
          if (what === 'sweep') slots.sweep();
          if (what === 'run' && slot !== undefined) states.inFlight[slot] += 1;
          if (what === 'end') {
            const busy = states.inFlight.findIndex((count) => count > 0);
            if (busy >= 0) states.inFlight[busy] -= 1;
          }
          if (what === 'release' && slot !== undefined) {
            slots.release(take(name));
            held.delete(name);
          }
          if (what === 'take') takeFresh(name, held);
          expect(new Set(held.values()).size).toBe(held.size);
        }
      }),
    );
  });
});
