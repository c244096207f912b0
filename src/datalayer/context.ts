import type { Clock } from '../router/clock.ts';
import type { EndpointStates } from '../router/states.ts';
import type { HttpProbe, ProbeAccess } from './probe.ts';
import type { Schedule } from './schedule.ts';
import type { GroupTarget } from './targets.ts';

/** Counts since the start, for the router's own metrics. */
export interface FleetCounters {
  scrapes: number;
  scrapeFailures: number;
  /** Samples in engines' metrics that were no number, negative or a share above 1. */
  samplesIgnored: number;
  probes: number;
  probeFailures: number;
  ejections: number;
}

/** What everything that watches an endpoint works with. */
export interface FleetContext {
  readonly states: EndpointStates;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly probe: HttpProbe;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly counters: FleetCounters;
  /** By slot: when the engine's process started, in seconds since 1970; 0 is unknown. */
  readonly startTimes: Float64Array;
  /** Whether discovery cannot see changes, or has not told all of them yet: an address may have a new owner unnoticed. */
  discoveryStale: boolean;
}

/** How many times longer than asked intervals are, to keep the budget; at least 1. One for each namespace. */
export interface Pace {
  /** Of scrapes. */
  stretch: number;
  /** Of health probes. */
  probeStretch: number;
}

/** The endpoint that is watched; its settings change while it is. */
export interface Site {
  readonly slot: number;
  readonly target: GroupTarget;
  readonly access: ProbeAccess;
  readonly pace: Readonly<Pace>;
  /** Whether it only passes requests on: then it has no load of its own, and its word on its engines is not about it. */
  readonly relays: boolean;
}
