/** Where the parts of a fleet listen, engine by engine. */
export interface FleetAddresses {
  readonly engines: readonly string[];
  readonly events: readonly string[];
  readonly replays: readonly string[];
  /** `host:port` of the oracle. */
  readonly oracle: string;
}

/** A strategy and what it knows of the caches. */
export interface Contender {
  readonly name: string;
  readonly strategy: string;
  readonly kvCache: (fleet: FleetAddresses) => object;
}

// A machine that also plays the engines takes longer to tokenise than engines do.
const patient = '10s';

export const contenders: readonly Contender[] = [
  { name: 'Random', strategy: 'Random', kvCache: () => ({ type: 'None' }) },
  { name: 'RoundRobin', strategy: 'RoundRobin', kvCache: () => ({ type: 'None' }) },
  { name: 'Approximate', strategy: 'Auto', kvCache: () => ({ type: 'Approximate' }) },
  {
    name: 'Events',
    strategy: 'Auto',
    kvCache: () => ({ type: 'Events', tokenizer: { type: 'Engine', timeout: patient } }),
  },
  {
    name: 'oracle',
    strategy: 'Auto',
    kvCache: ({ oracle }) => ({ type: 'Manager', manager: { url: `http://${oracle}`, timeout: patient } }),
  },
];

/** The resources of one run: one group of fixed engines, one policy. JSON is YAML. */
export function manifests({ strategy, kvCache }: Contender, fleet: FleetAddresses, model: string): string {
  const endpoints = fleet.engines.map((address, i) => ({
    name: `engine-${i + 1}`,
    address,
    ports: [
      { name: 'zmq-pub', port: portOf(fleet.events[i]) },
      { name: 'zmq-replay', port: portOf(fleet.replays[i]) },
    ],
  }));
  const group = {
    apiVersion: 'hermes-router.io/v1alpha1',
    kind: 'BackendGroup',
    metadata: { name: 'engines' },
    spec: {
      models: [model],
      discovery: { type: 'Static', static: { endpoints } },
      metrics: { interval: '100ms', timeout: '1s' },
      kvCache: kvCache(fleet),
    },
  };
  const policy = {
    apiVersion: 'hermes-router.io/v1alpha1',
    kind: 'RoutingPolicy',
    metadata: { name: 'engines' },
    spec: { match: { models: [model] }, backendRefs: [{ name: 'engines' }], strategy: { type: strategy } },
  };
  return `${JSON.stringify(group)}\n---\n${JSON.stringify(policy)}\n`;
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}
