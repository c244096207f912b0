/** A header to set (replacing what is there); the value's bytes go as `raw_value`. */
export interface SetHeader {
  readonly name: string;
  readonly value: string;
}

/** Changes of headers, of requests and responses alike. */
export interface HeaderChange {
  readonly set: readonly SetHeader[];
  readonly remove: readonly string[];
  /** Request headers only: Envoy must match its routes anew. */
  readonly clearRouteCache: boolean;
  /** Dynamic metadata `envoy.lb` / `x-gateway-destination-endpoint`; null for none. */
  readonly destination: string | null;
}

/** An answer of our own in place of the engine's. */
export interface Immediate {
  readonly status: number;
  readonly headers: readonly SetHeader[];
  readonly body: string;
  /** For Envoy's access log. */
  readonly details: string;
}
