/** What has changed in a group by itself, so that somebody may want to look. */
export type FleetChange =
  /** `endpoints(key)` */
  | 'endpoints'
  /** `models(key)` */
  | 'models'
  /** `members(key)` and `summary(key)` */
  | 'readiness';

/** Why an endpoint gets requests or does not. */
export type MemberReason =
  | 'Ready'
  /** Discovery holds it not ready: its Pod is not, or the EndpointSlice says so. */
  | 'NotReady'
  /** Health probes fail. */
  | 'Unhealthy'
  /** Requests failed there; it is back after a while. */
  | 'Ejected'
  /** The engine says that it sleeps. */
  | 'Sleeping'
  /** It is gone from discovery, and its last requests run. */
  | 'Draining'
  /** The router has no room for more endpoints. */
  | 'NoSlot';

/** One endpoint, for the status of its group. */
export interface MemberStatus {
  readonly name: string;
  readonly address: string;
  readonly ready: boolean;
  readonly reason: MemberReason;
  /** When its metrics were last read, in milliseconds of the clock; null while they are fresh. */
  readonly staleSince: number | null;
}

/** A group at a glance. */
export interface GroupSummary {
  /** Endpoints that discovery sees. */
  readonly total: number;
  /** Of those: for which the router has no room. */
  readonly shutOut: number;
  readonly ready: number;
  /** Endpoints that are gone and still work. */
  readonly draining: number;
  readonly ejected: number;
  /** Mean use of the KV caches, 0..100; null where no fresh number is known. */
  readonly kvCachePercent: number | null;
  /** Metrics are read, or health is probed, less often than asked, to keep the budget of scrapes a second. */
  readonly scrapeSlowed: boolean;
}

export type FleetEventType =
  | 'EndpointUnhealthy'
  | 'EndpointHealthy'
  | 'EndpointEjected'
  | 'EndpointReturned'
  | 'EndpointAsleep'
  | 'EndpointAwake'
  | 'EndpointRestarted'
  | 'MetricsStale'
  | 'SlotsExhausted';

/** Something that a person should see. */
export interface FleetEvent {
  readonly type: FleetEventType;
  /** Key of the group. */
  readonly group: string;
  /** Name of the endpoint. */
  readonly endpoint: string;
  readonly message: string;
}
