import type { EndpointSeed } from '../router/endpoint.ts';

/** Whose metric names an endpoint speaks. */
export type Engine = 'vLLM' | 'SGLang' | 'TensorRTLLM';

/** How the engines' metrics are read; times in milliseconds. */
export interface MetricsSettings {
  readonly interval: number;
  readonly timeout: number;
  readonly path: string;
  /** Scraped numbers older than this no longer count. */
  readonly staleAfter: number;
}

/** When requests that fail throw an endpoint out for a while; times in milliseconds. */
export interface PassiveSettings {
  readonly consecutiveFailures: number;
  /** The first ejection's length; the n-th lasts n times as long, up to a limit. */
  readonly ejectFor: number;
  readonly maxEjectedPercent: number;
}

/** How health is probed; times in milliseconds. */
export interface HealthSettings {
  readonly path: string;
  readonly interval: number;
  readonly timeout: number;
  /** Failed probes in a row that make an endpoint unhealthy. */
  readonly failures: number;
  /** Good probes in a row that bring it back. */
  readonly successes: number;
  readonly passive: PassiveSettings;
}

/** How a TLS connection to an engine is checked. */
export interface TlsSettings {
  /** PEM; absent: the certificates that Node trusts. */
  readonly ca?: string;
  /** The name in the engine's certificate; absent: the address. */
  readonly serverName?: string;
}

/** A backend group as discovery sees it now: what `Fleet.reconcile` brings about. */
export interface GroupTarget {
  /** `namespace/name`. */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly engine: Engine;
  readonly endpoints: readonly EndpointSeed[];
  /** Label and value of endpoints that only pass requests on, to engines of the group that are watched by themselves. */
  readonly relays?: { readonly label: string; readonly value: string };
  readonly scheme: 'http' | 'https';
  readonly tls?: TlsSettings;
  /** Sent as a Bearer token with every probe. */
  readonly apiKey?: string;
  /** Whether the group's models are what its engines list, kept up to date. */
  readonly learnModels: boolean;
  readonly metrics: MetricsSettings;
  readonly health: HealthSettings;
}
