/** One inference engine's address. Frozen; what changes by itself (load, health) lies in EndpointStates at `slot`. */
export interface Endpoint {
  /** `namespace/group/name`: unique in a table. */
  readonly id: string;
  /** The row of this endpoint in EndpointStates, kept while the endpoint exists. */
  readonly slot: number;
  readonly name: string;
  /** `host:port`, or `[v6]:port`. */
  readonly address: string;
  /** Key of the group that owns it: `namespace/name`. */
  readonly group: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** What a discovery source knows of an endpoint before it has a slot. */
export interface EndpointSeed {
  readonly name: string;
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Named ports beside the serving one, such as `zmq-pub`. */
  readonly ports: Readonly<Record<string, number>>;
  /** Whether discovery itself holds it ready; absent is yes. A Pod that is not gets no requests and no probes. */
  readonly discoveredReady?: boolean;
}
