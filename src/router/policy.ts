import type { Endpoint } from './endpoint.ts';
import type { ManagerLookup, TokenLookup } from './foreknowledge.ts';
import type { PairTopology } from './pair-topology.ts';
import type { PrefixSource } from './prefix.ts';
import type { SchedulingProfile } from './profile.ts';

/** A set of engines that serve the same models. */
export interface BackendGroup {
  /** `namespace/name`. */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  /** Models declared or learned; empty while nothing is known, which counts as any. */
  readonly models: readonly string[];
  readonly modelsDeclared: boolean;
  /** Since when it declares them, in milliseconds since 1970; absent where that is no later than any policy. */
  readonly declaredSince?: number;
  readonly endpoints: readonly Endpoint[];
  readonly prefixSource: PrefixSource;
  readonly connection: Connection;
  /** Absent where each engine does prefill and decode. */
  readonly topology?: PairTopology;
  /** Asks an external KV manager before the decision; absent where the group has none. */
  readonly managerLookup?: ManagerLookup;
  /** Makes the prompt's tokens before the decision; absent where the group's prefix source needs none. */
  readonly tokenLookup?: TokenLookup;
}

/** How to talk to a group's engines. Holds secrets: never logged, shown or traced. */
export interface Connection {
  readonly scheme: 'http' | 'https';
  /** PEM of the authorities to trust; the system's where absent. */
  readonly ca?: string;
  readonly serverName?: string;
  /** Sent as `Authorization: Bearer …` to the engines. */
  readonly apiKey?: string;
  /** Whether the client's own Authorization header goes to the engines. */
  readonly forwardAuthorization: boolean;
}

/** One backend of a policy. */
export interface Backend {
  readonly group: BackendGroup;
  /** Share of traffic relative to the others' weights. */
  readonly weight: number;
  /** The model name that this backend's engines know, if it is another. */
  readonly rewriteModel: string | null;
}

/** Milliseconds; 0 means no limit. */
export interface Timeouts {
  readonly connect: number;
  readonly firstByte: number;
  readonly streamIdle: number;
  readonly nonStreaming: number;
  readonly request: number;
}

export type RetryCause = 'ConnectFailure' | 'Reset' | 'Unavailable' | 'Timeout';

export interface Retries {
  /** Further endpoints after the first. */
  readonly attempts: number;
  readonly on: readonly RetryCause[];
  /** At most this share of the requests of the last seconds may be retries, and always this many a second. */
  readonly budget: { readonly percent: number; readonly minPerSecond: number };
}

export interface HeaderMatch {
  /** Lower case. */
  readonly name: string;
  readonly value: string;
}

/** Which requests a policy takes. */
export interface PolicyMatch {
  /** Full names, or prefixes ending in `*`; empty takes every model that the policy's backends serve. */
  readonly models: readonly string[];
  readonly headers: readonly HeaderMatch[];
}

/** How the requests of some models are routed. Frozen. */
export interface RoutingPolicy {
  /** `namespace/name`. */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  /** Milliseconds since 1970; 0 in files, where the name is the only tie-break. */
  readonly created: number;
  readonly match: PolicyMatch;
  /**
   * Since when it claims the names that it or its groups write down, in milliseconds since 1970; what is not there is
   * as old as the policy.
   */
  readonly claimedSince?: ReadonlyMap<string, number>;
  readonly backends: readonly Backend[];
  /** Groups behind it that it cannot place requests in. A policy without a match takes their models all the same. */
  readonly barred?: readonly BackendGroup[];
  /** Null where no version of the policy was ever valid: its requests are answered 503. */
  readonly profile: SchedulingProfile | null;
  /** Of backends with a topology of pairs; absent where `profile` serves these, too. */
  readonly pairProfile?: SchedulingProfile;
  readonly timeouts: Timeouts;
  readonly retries: Retries;
  /** Whether clients may ask for the decision by `x-hermes-debug: 1`. */
  readonly debugHeaders: boolean;
}
