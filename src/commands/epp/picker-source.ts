import type { PickerConfig } from '../../api/endpoint-picker-config.ts';
import type { Discovery } from '../../controller/found.ts';
import type { Objectives } from '../../controller/pools/objectives.ts';
import type { GaugeSource } from '../../observability/metrics.ts';
import type { Driven } from '../source.ts';

/** Where pools, their endpoints and what is said of them come from. Nothing is written back. */
export interface PickerSource {
  readonly discovery: Discovery;
  readonly objectives: Pick<Objectives, 'priorityOf'>;
  /** Keys of the groups of each pool in force, in the order of the pools. */
  readonly groups: readonly ReadonlySet<string>[];
  /** The EndpointPickerConfig in force; null where there is none. */
  readonly config: PickerConfig | null;
  /** Puts what there is in force and keeps it so. Throws InputError and OutsideError. */
  start(driven: Driven): void;
  /** Why no pool can be picked for, or null. */
  notReady(): string | null;
  gauges(): GaugeSource[];
  close(): void;
}
