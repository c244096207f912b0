import type { Clock } from '../router/clock.ts';

/** Milliseconds: alarms this close together ring in one wake-up. */
const resolution = 5;
const unset = -1;
/** Milliseconds between beats. */
const beat = 100;
/** Intervals shorter than this keep their own time, in milliseconds. */
const shortestOnBeat = 5 * beat;

/**
 * When to do again what is done every `interval`: at the beat nearest to `due`. Waking up for one probe takes more than
 * the probe, so that those of a beat together cost half of what they would one by one.
 */
export function onBeat(due: number, interval: number): number {
  return interval < shortestOnBeat ? due : Math.round(due / beat) * beat;
}

/** Something to do at a time that can be set again and again. */
export class Alarm {
  due = 0;
  /** Place in the schedule's heap, or -1. */
  position: number = unset;
  readonly ring: () => void;

  constructor(ring: () => void) {
    this.ring = ring;
  }

  /** Whether it is to ring. */
  get isSet(): boolean {
    return this.position !== unset;
  }
}

/** Thousands of alarms on one timer: a binary heap by due time. */
export class Schedule {
  private readonly clock: Clock;
  private readonly heap: Alarm[] = [];
  private armedFor = Infinity;
  private disarm: (() => void) | null = null;
  private ringing = false;
  private closed = false;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Rings the alarm once at `due`, in milliseconds of the clock, instead of when it was set for; never at once. */
  set(alarm: Alarm, due: number): void {
    if (this.closed) return;
    this.remove(alarm);
    alarm.due = Math.max(due, this.clock.now() + 1);
    alarm.position = this.heap.length;
    this.heap.push(alarm);
    this.rise(alarm);
    if (!this.ringing) this.arm();
  }

  clear(alarm: Alarm): void {
    this.remove(alarm);
  }

  /** Rings nothing any more. */
  close(): void {
    this.closed = true;
    for (const alarm of this.heap) alarm.position = unset;
    this.heap.length = 0;
    this.disarm?.();
    this.disarm = null;
  }

  private arm(): void {
    const next = this.heap.at(0);
    if (next === undefined || next.due >= this.armedFor) return;
    this.disarm?.();
    this.armedFor = next.due;
    this.disarm = this.clock.after(Math.max(resolution, next.due - this.clock.now()), () => this.wake());
  }

  private wake(): void {
    this.armedFor = Infinity;
    this.disarm = null;
    this.ringing = true;
    const now = this.clock.now();
    try {
      for (let next = this.heap.at(0); next !== undefined && next.due <= now; next = this.heap.at(0)) {
        this.remove(next);
        next.ring();
      }
    } finally {
      this.ringing = false;
      this.arm();
    }
  }

  private remove(alarm: Alarm): void {
    const { position } = alarm;
    if (position === unset) return;
    alarm.position = unset;
    const last = this.heap.pop();
    if (last === undefined || last === alarm) return;
    this.place(last, position);
    this.rise(last);
    this.sink(last);
  }

  private rise(alarm: Alarm): void {
    while (alarm.position > 0) {
      const { position } = alarm;
      const parent = this.heap[(position - 1) >> 1];
      if (parent.due <= alarm.due) return;
      this.place(alarm, parent.position);
      this.place(parent, position);
    }
  }

  private sink(alarm: Alarm): void {
    for (;;) {
      const { position } = alarm;
      const left = this.heap.at(2 * position + 1);
      if (left === undefined) return;
      const right = this.heap.at(2 * position + 2);
      const child = right !== undefined && right.due < left.due ? right : left;
      if (alarm.due <= child.due) return;
      this.place(alarm, child.position);
      this.place(child, position);
    }
  }

  private place(alarm: Alarm, position: number): void {
    this.heap[position] = alarm;
    alarm.position = position;
  }
}
