import type { ResourceSnapshot } from '../controller/resource-snapshot.ts';
import type { Verdict } from '../controller/conditions.ts';
import { effectiveProfile } from '../controller/status/effective-profile.ts';
import { histogramSamples } from '../observability/histogram.ts';
import { eventGauges, indexGauges, missGauge, storeGauges, streamGauge } from './kv/gauges.ts';
import type { GaugeSource } from '../observability/metrics.ts';
import type { MetricFamily } from '../observability/traffic.ts';
import type { RoutingTable } from '../router/table.ts';
import type { Assembly } from './assembly.ts';
import type { Door } from './drain.ts';

/** `/api/v1/table`: what is in force. Connections hold secrets and are left out. */
export function tableView(
  table: RoutingTable,
  snapshot: ResourceSnapshot,
  verdicts: readonly Verdict[],
  { fleet, caches }: Pick<Assembly, 'fleet' | 'caches'>,
): unknown {
  return {
    generation: table.generation,
    models: table.models,
    policies: table.policies.map((policy) => ({
      policy: policy.key,
      match: policy.match,
      backends: policy.backends.map(({ group, weight, rewriteModel }) => ({ group: group.key, weight, rewriteModel })),
      effectiveProfile: effectiveProfile(policy),
      timeouts: policy.timeouts,
      retries: policy.retries,
    })),
    groups: [...table.groups.values()].map(({ key, models }) => ({
      group: key,
      models,
      endpoints: fleet.summary(key),
      members: fleet.members(key),
    })),
    conditions: verdicts.map((verdict) => ({
      ...verdict,
      conditions: [...verdict.conditions, ...(verdict.kind === 'BackendGroup' ? (caches.get(verdict.key) ?? []) : [])],
    })),
    faults: snapshot.faults,
    lastGoodInForce: [...snapshot.lastGoodInForce],
  };
}

/** How long routing tables take to make. */
export function tableTimes({ tableTimes: series }: Pick<Assembly, 'tableTimes'>): MetricFamily {
  const name = 'hermes_table_build_seconds';
  const help = 'Time to make a routing table of what has changed; the process does nothing else meanwhile.';
  return { name, help, type: 'histogram', samples: () => histogramSamples(name, {}, series) };
}

/** Gauges that are read from the house, and from the `door` that requests come in by, when somebody scrapes. */
export function gauges(assembly: Assembly, door: Pick<Door, 'draining'>, now: () => number): GaugeSource[] {
  const { store, states, fleet, index, managers } = assembly;
  const perGroup = (value: (slots: readonly number[]) => number) => () =>
    [...store.current.groups.values()].map(({ key, endpoints }) => ({
      labels: { group: key },
      value: value(endpoints.map((endpoint) => endpoint.slot)),
    }));
  const sum = (values: ArrayLike<number>) => (slots: readonly number[]) =>
    slots.reduce((total, slot) => total + values[slot], 0);
  const single = (value: () => number) => () => [{ value: value() }];
  return [
    ...indexGauges(() => assembly.room?.follower.feed?.index),
    ...eventGauges(() => assembly.room?.follower.feed?.streams.counters),
    streamGauge(() => assembly.room?.follower.streams ?? []),
    missGauge(() => assembly.room?.tokens.misses),
    ...storeGauges(() => assembly.room?.stores),
    {
      name: 'hermes_requests_waiting',
      help: 'Own requests without a first byte, by group.',
      read: perGroup(sum(states.ownWaiting)),
    },
    {
      name: 'hermes_endpoints_ready',
      help: 'Endpoints that may get requests, by group.',
      read: perGroup((slots) => slots.filter((slot) => states.isReady(slot)).length),
    },
    {
      name: 'hermes_scrape_age_seconds',
      help: 'Age of the oldest load numbers of a group.',
      read: perGroup((slots) =>
        Math.max(
          0,
          ...slots.map((slot) => (states.scrapedAt[slot] === 0 ? 0 : (now() - states.scrapedAt[slot]) / 1000)),
        ),
      ),
    },
    {
      name: 'hermes_endpoint_ejections_total',
      help: 'Endpoints thrown out by failing requests.',
      read: single(() => fleet.counters.ejections),
    },
    {
      name: 'hermes_scrape_failures_total',
      help: 'Scrapes of engines that failed.',
      read: single(() => fleet.counters.scrapeFailures),
    },
    {
      name: 'hermes_index_blocks',
      help: 'Prompt blocks remembered, over all endpoints.',
      read: single(() => index.size),
    },
    { name: 'hermes_index_bytes', help: 'Memory of the prefix index.', read: single(() => index.bytes) },
    {
      name: 'hermes_manager_failures_total',
      help: 'Look-ups at external KV managers that failed, by reason.',
      read: () => [...managers.failures].map(([reason, value]) => ({ labels: { reason }, value })),
    },
    {
      name: 'hermes_endpoints_without_slot',
      help: 'Endpoints that get no requests because the router has no room for more.',
      read: single(() => fleet.shutOut),
    },
    {
      name: 'hermes_last_good_in_force',
      help: 'Resources of which an older version is in force because the newest is not valid.',
      read: single(() => assembly.snapshot.lastGoodInForce.size),
    },
    {
      name: 'hermes_draining',
      help: '1 from the signal to stop until the process ends.',
      read: single(() => (door.draining ? 1 : 0)),
    },
    {
      name: 'hermes_table_generation',
      help: 'Generation of the routing table in force.',
      read: single(() => store.current.generation),
    },
  ];
}
