import { ApproximateIndex } from '../../src/indexer/approximate.ts';
import { buildProfile } from '../../src/policies/build.ts';
import { byPdLabel } from '../../src/policies/pair-filters/by-pd-label.ts';
import { noAdapterReports } from '../../src/router/adapters.ts';
import type { Endpoint } from '../../src/router/endpoint.ts';
import { noStages, type HandoverBy } from '../../src/router/pair-topology.ts';
import type { RoutingPolicy } from '../../src/router/policy.ts';
import { Router } from '../../src/router/router.ts';
import { EndpointStates } from '../../src/router/states.ts';
import { Engine } from '../../src/sim/engine.ts';
import { seeded } from '../../src/sim/random.ts';
import type { Contender } from './contenders.ts';
import { serviceModelFor } from './speed.ts';

/** Tensor-parallel sizes of the prefillers and decoders of one group. */
export interface GroupShape {
  readonly prefill: readonly number[];
  readonly decode: readonly number[];
}

export type Role = 'prefill' | 'decode';

/** What is not as it should be. */
export interface Faults {
  /** What the label of an engine of that tensor-parallel size says; null where it has none. */
  readonly label?: (tpSize: number) => string | null;
  /** How many times slower an engine is. */
  readonly slowdown?: (group: number, role: Role) => number;
}

export interface FleetOptions {
  /** By a leader, the router learns that a prompt is computed with the first byte of the answer only. */
  readonly handover?: HandoverBy;
  /** As in PairTopology. */
  readonly disaggregateAbove?: number;
  /** Routers that share the requests and know nothing of each other. */
  readonly routers?: number;
  /** Seconds between two scrapes of an engine. */
  readonly scrapeEvery?: number;
  readonly faults?: Faults;
}

/** An engine and what routers know it by. */
export interface Node {
  readonly endpoint: Endpoint;
  readonly engine: Engine;
  readonly role: Role;
}

/** A router with books of its own. */
export interface Front {
  readonly router: Router;
  readonly policy: RoutingPolicy;
  readonly states: EndpointStates;
}

/** Engines, idle, and what stands before them. */
export interface Fleet {
  readonly nodes: readonly Node[];
  readonly bySlot: ReadonlyMap<number, Node>;
  readonly fronts: readonly Front[];
}

/** Chips in use: each engine has as many as its tensor-parallel size says. */
export const chipsOf = (groups: readonly GroupShape[]): number =>
  groups.flatMap(({ prefill, decode }) => [...prefill, ...decode]).reduce((sum, tpSize) => sum + tpSize, 0);

const roleLabel = 'openfuyao.com/pdRole';
const groupLabel = 'openfuyao.com/pdGroupID';
const labelsOfPairs = {
  pdLabelName: roleLabel,
  pdGroupLabelName: groupLabel,
  prefillValue: 'prefill',
  decodeValue: 'decode',
  leaderValue: 'leader',
};

export function fleet(
  groups: readonly GroupShape[],
  contender: Contender,
  clock: { readonly now: () => number },
  seed: number,
  options: FleetOptions,
): Fleet {
  const nodes = groups.flatMap(({ prefill, decode }, group) => [
    ...prefill.map((tpSize) => ({ role: 'prefill' as const, tpSize, group })),
    ...decode.map((tpSize) => ({ role: 'decode' as const, tpSize, group })),
  ]);
  const made = nodes.map(({ role, tpSize, group }, slot): Node => {
    const engine = new Engine(serviceModelFor(tpSize));
    engine.slowdown = options.faults?.slowdown?.(group, role) ?? 1;
    const size = options.faults?.label === undefined ? String(tpSize) : options.faults.label(tpSize);
    const labels = {
      [roleLabel]: contender.aggregate ? 'aggregate' : role,
      [groupLabel]: String(group),
      ...(size === null ? {} : { 'openfuyao.com/tpSize': size }),
    };
    return { endpoint: endpoint(slot, `g${group}-${role}-${slot}`, labels), engine, role };
  });
  const leaders = groups.map((_, group) =>
    endpoint(made.length + group, `g${group}-leader`, { [roleLabel]: 'leader', [groupLabel]: String(group) }),
  );
  const endpoints = made.map((node) => node.endpoint).concat(contender.aggregate ? [] : leaders);
  const fronts = Array.from({ length: options.routers ?? 1 }, (_, i) => {
    const front = frontOf(endpoints, contender, clock, seeded(seed + 1_000 * i), options);
    const { prefixSource } = front.policy.backends[0].group;
    // As the engines' cache_config_info tells.
    if (prefixSource instanceof ApproximateIndex)
      for (const node of made) prefixSource.setCapacity(node.endpoint.slot, node.engine.model.kvTokens);
    return front;
  });
  return { nodes: made, bySlot: new Map(made.map((node) => [node.endpoint.slot, node])), fronts };
}

function endpoint(slot: number, name: string, labels: Endpoint['labels']): Endpoint {
  const address = `10.0.0.${slot + 1}:8000`;
  return Object.freeze({ id: `sim/group/${name}`, slot, name, address, group: 'sim/group', labels });
}

function frontOf(
  endpoints: readonly Endpoint[],
  { spec, registry, aggregate }: Contender,
  clock: { readonly now: () => number },
  random: () => number,
  { handover = 'Router', disaggregateAbove = -1 }: FleetOptions,
): Front {
  const states = new EndpointStates(endpoints.length);
  for (const { slot } of endpoints) states.reset(slot);
  const topology = { grouping: byPdLabel.create(labelsOfPairs), handover, disaggregateAbove, stages: noStages };
  const group = {
    key: 'sim/group',
    namespace: 'sim',
    name: 'group',
    models: ['m'],
    modelsDeclared: true,
    endpoints,
    prefixSource: new ApproximateIndex(),
    connection: { scheme: 'http' as const, forwardAuthorization: false },
    ...(aggregate ? {} : { topology }),
  };
  const policy: RoutingPolicy = {
    key: 'sim/policy',
    namespace: 'sim',
    name: 'policy',
    created: 0,
    match: { models: ['m'], headers: [] },
    backends: [{ group, weight: 1, rewriteModel: null }],
    profile: buildProfile(spec, registry, { states, adapters: noAdapterReports, random, clock }),
    timeouts: { connect: 0, firstByte: 0, streamIdle: 0, nonStreaming: 0, request: 0 },
    retries: { attempts: 0, on: [], budget: { percent: 0, minPerSecond: 0 } },
    debugHeaders: false,
  };
  return { router: new Router({ states, random }), policy, states };
}
