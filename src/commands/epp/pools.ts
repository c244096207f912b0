import { keyOf } from '../../controller/compile.ts';
import type { Objectives } from '../../controller/pools/objectives.ts';
import { PoolTable } from '../../controller/pools/pool-table.ts';
import type { PickerSettings } from '../../epp/context.ts';
import { EndpointPicker, type EndpointPickerDependencies } from '../../epp/endpoint-picker.ts';
import type { PoolReading } from '../../observability/inference-extension-metrics.ts';
import { defaultBounds } from '../../router/saturation.ts';
import type { EndpointStates } from '../../router/states.ts';
import type { RoutingTable } from '../../router/table.ts';
import type { PoolAddress } from './flags.ts';
import type { PickerSource } from './picker-source.ts';

/** What all pickers of a process have in common. */
export type SharedParts = Omit<EndpointPickerDependencies, 'store' | 'settings'>;

/** What the flags say of every picker. */
export type FixedSettings = Pick<PickerSettings, 'deadline' | 'fallbacks' | 'trustHeaders' | 'conformance'>;

/** A pool with its part of the table and its picker. */
export interface ServedPool extends PoolAddress {
  readonly table: PoolTable;
  readonly picker: EndpointPicker;
}

export interface PoolsOptions {
  readonly addresses: readonly PoolAddress[];
  readonly source: PickerSource;
  readonly fixed: FixedSettings;
  readonly shared: SharedParts;
}

/** The pools that a process picks for; for whoever drains it, one front door. */
export class Pools {
  readonly all: readonly ServedPool[];
  /** Set while the process drains; calls are still taken, but health says no. */
  draining = false;
  private readonly source: PickerSource;
  private readonly states: EndpointStates;

  constructor({ addresses, source, fixed, shared }: PoolsOptions) {
    this.source = source;
    this.states = shared.states;
    this.all = addresses.map(({ pool, address }) => {
      const table = new PoolTable();
      const settings = settingsOf(fixed, source, (name, objectives) => objectives.priorityOf(pool, name));
      return { pool, address, table, picker: new EndpointPicker({ ...shared, store: table.store, settings }) };
    });
  }

  /** A new table of all pools is in force. */
  tableChanged(table: RoutingTable): void {
    this.all.forEach(({ table: own }, i) => own.update(table, this.source.groups.at(i) ?? new Set()));
  }

  get inFlight(): number {
    return this.all.reduce((sum, { picker }) => sum + picker.inFlight, 0);
  }

  cutAll(): void {
    for (const { picker } of this.all) picker.cutAll();
  }

  /** The load of each pool now. */
  readings(): PoolReading[] {
    const { states } = this;
    return this.all.map(({ pool, table }) => {
      const slots = [...table.store.current.groups.values()]
        .flatMap(({ endpoints }) => endpoints.map(({ slot }) => slot))
        .filter((slot) => states.isReady(slot));
      const mean = (values: ArrayLike<number>): number =>
        slots.length === 0 ? 0 : slots.reduce((sum, slot) => sum + values[slot], 0) / slots.length;
      const name = keyOf(pool);
      return {
        name: this.all.length === 1 ? pool.name : name,
        cacheUsage: mean(states.usage),
        queueSize: mean(states.waiting),
        readyPods: slots.length,
      };
    });
  }
}

/** Settings follow the configuration, which may be another one for the next call. */
function settingsOf(
  fixed: FixedSettings,
  source: PickerSource,
  priorityOf: (name: string, objectives: Pick<Objectives, 'priorityOf'>) => number,
): PickerSettings {
  return {
    deadline: fixed.deadline,
    trustHeaders: fixed.trustHeaders,
    conformance: fixed.conformance,
    priorityOf: (name) => priorityOf(name, source.objectives),
    get fallbacks() {
      return source.config?.fallbacks ?? fixed.fallbacks;
    },
    get saturation() {
      return source.config?.saturation ?? defaultBounds;
    },
  };
}
