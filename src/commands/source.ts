import type { Discovery } from '../controller/found.ts';
import type { ResourceSnapshot } from '../controller/resource-snapshot.ts';
import type { Fleet } from '../datalayer/fleet.ts';
import type { FleetEvent } from '../datalayer/report.ts';
import type { GaugeSource } from '../observability/metrics.ts';
import type { Assembly } from './assembly.ts';

/** How often the resources of files were taken in. */
export interface Reloads {
  good: number;
  /** With at least one fault; what was good is in force all the same. */
  faulty: number;
}

/** What resources are put in force in. */
export interface Driven {
  readonly fleet: Pick<Fleet, 'setDiscoveryStale'>;
  update(snapshot: ResourceSnapshot): void;
}

/** Where the resources come from: a folder of manifests, a configuration file, a cluster. */
export interface ResourceSource {
  readonly discovery: Discovery;
  /** Puts what there is in force and keeps it so. Throws OutsideError where nothing can be read. */
  start(assembly: Assembly): void;
  /** Why the router is not ready, or null. */
  notReady(): string | null;
  /** `metadata.generation` of a policy in force; 0 where there are none. */
  generationOf(policy: string): number;
  gauges(): GaugeSource[];
  tableChanged(assembly: Assembly): void;
  groupChanged(key: string): void;
  fleetEvent(event: FleetEvent): void;
  /** The router begins to drain: another may take over what only one does. */
  resign(): Promise<void>;
  close(): void;
}

/** A source for whoever takes resources in, a router or not. */
export interface PlainSource extends Omit<ResourceSource, 'start'> {
  start(driven: Driven): void;
}

/** What sources that know nothing of other replicas have in common. */
export const alone = {
  notReady: () => null,
  generationOf: () => 0,
  tableChanged: () => undefined,
  groupChanged: () => undefined,
  fleetEvent: () => undefined,
  resign: () => Promise.resolve(),
} as const;

export function reloadGauges(reloads: Reloads): GaugeSource[] {
  return [
    {
      name: 'hermes_config_reloads_total',
      help: 'Changes of the files taken in, by result.',
      read: () => [
        { labels: { result: 'good' }, value: reloads.good },
        { labels: { result: 'faulty' }, value: reloads.faulty },
      ],
    },
  ];
}
