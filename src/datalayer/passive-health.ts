import type { Outcome } from '../router/feedback.ts';
import { Flag, type EndpointStates } from '../router/states.ts';
import type { PassiveSettings } from './targets.ts';

/** The longest ejection, in multiples of the first. */
export const longestEjection = 6;

/** What passive health asks for when requests fail. */
export interface PassiveListener {
  /** A connection to the endpoint has just failed: look at once whether anybody is there. */
  suspect(slot: number): void;
  /** It has failed often enough. Returns whether it was thrown out. */
  eject(slot: number): boolean;
}

/**
 * Counts failed requests in a row for each slot. Called for every try of every request: flat arrays, no allocation,
 * and nothing but one store where all is well. An ejection leaves the count as it is, so that an endpoint which is back is on
 * probation: its next failure ejects it again, its next success clears it.
 */
export class PassiveHealth {
  private readonly states: EndpointStates;
  private readonly listener: PassiveListener;
  private readonly failures: Uint16Array;
  /** Failures in a row that eject; 0 is never. */
  private readonly thresholds: Uint16Array;
  private readonly ejections: Uint8Array;
  /** When the last ejection ended or ends, in milliseconds. */
  private readonly until: Float64Array;

  constructor(states: EndpointStates, listener: PassiveListener) {
    this.states = states;
    this.listener = listener;
    this.failures = new Uint16Array(states.capacity);
    this.thresholds = new Uint16Array(states.capacity);
    this.ejections = new Uint8Array(states.capacity);
    this.until = new Float64Array(states.capacity);
  }

  report(slot: number, outcome: Outcome): void {
    if (outcome === 'ok') this.failures[slot] = 0;
    else this.failed(slot, outcome);
  }

  /** Sets how many failures in a row eject; 0 is never. */
  setThreshold(slot: number, threshold: number): void {
    this.thresholds[slot] = threshold;
  }

  /** The slot has a new owner, or the same engine has been started anew. */
  clear(slot: number): void {
    this.failures[slot] = 0;
    this.ejections[slot] = 0;
    this.until[slot] = 0;
  }

  /** Books an ejection that starts now and returns when it ends. One that comes long after the last counts as the first. */
  begin(slot: number, settings: PassiveSettings, now: number): number {
    const forgiven = now - this.until[slot] > longestEjection * settings.ejectFor;
    this.ejections[slot] = forgiven ? 1 : Math.min(longestEjection, this.ejections[slot] + 1);
    this.until[slot] = now + settings.ejectFor * this.ejections[slot];
    return this.until[slot];
  }

  private failed(slot: number, outcome: Outcome): void {
    const threshold = this.thresholds[slot];
    // Requests from before an ejection go on failing during it; they say nothing new.
    if (threshold === 0 || this.states.has(slot, Flag.ejected)) return;
    const count = Math.min(threshold, this.failures[slot] + 1);
    this.failures[slot] = count;
    if (count === threshold && this.listener.eject(slot)) return;
    if (count === 1 && (outcome === 'connect_failure' || outcome === 'reset')) this.listener.suspect(slot);
  }
}

/** How a group stands when one of its endpoints is about to be ejected. */
export interface GroupHealth {
  readonly total: number;
  readonly ejected: number;
  /** Ready ones besides the one at issue. */
  readonly otherReady: number;
}

/**
 * Whether one more may be ejected: never over the percentage (but one of two or more always may), and never the last
 * one ready, because throwing it out would only turn some failures into refusals of everything.
 */
export function mayEject({ total, ejected, otherReady }: GroupHealth, maxEjectedPercent: number): boolean {
  if (total < 2 || otherReady === 0 || maxEjectedPercent === 0) return false;
  return ejected < Math.max(1, Math.floor((total * maxEjectedPercent) / 100));
}
