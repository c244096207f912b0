import { keyOf } from '../../controller/compile.ts';
import { Objectives, objectivesIn } from '../../controller/pools/objectives.ts';
import type { PoolName } from '../../controller/pools/pool-ref.ts';
import { PoolPlanner, type PoolPlan } from '../../controller/pools/pool-planner.ts';
import type { ResourceSnapshot } from '../../controller/resource-snapshot.ts';
import type { Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import { manifestSource } from '../manifests.ts';
import type { Driven } from '../source.ts';
import type { ConfigInForce } from './picker-config.ts';
import type { PickerSource } from './picker-source.ts';

export interface FilePoolsOptions {
  readonly folder: string;
  readonly routerClass: string;
  readonly pools: readonly PoolName[];
  readonly config: ConfigInForce | null;
  readonly clock: Clock;
  readonly log: Log;
}

/** Pools from a folder of manifests: each is the BackendGroup of its name. */
export function filePools({ folder, routerClass, pools, config, clock, log }: FilePoolsOptions): PickerSource {
  const planner = new PoolPlanner(pools, 'files');
  const objectives = new Objectives();
  let plan: PoolPlan | null = null;
  let snapshot: ResourceSnapshot | null = null;
  let driven: Driven | null = null;
  const manifests = manifestSource(folder, routerClass, {
    clock,
    log,
    onFiles: (files) => objectives.replace(files.flatMap(objectivesIn)),
  });
  const apply = (): void => {
    if (snapshot === null || driven === null) return;
    plan = planner.plan(snapshot, config?.current ?? null);
    driven.update(plan.snapshot);
  };
  return {
    discovery: manifests.discovery,
    objectives,
    get groups() {
      return plan?.groups ?? [];
    },
    get config() {
      return config?.current ?? null;
    },
    start(started) {
      driven = started;
      config?.start(apply);
      manifests.start({
        fleet: started.fleet,
        update(next) {
          snapshot = next;
          apply();
        },
      });
    },
    notReady() {
      if (plan?.groups.some((keys) => keys.size > 0) === true) return null;
      return `no BackendGroup of the manifests is called ${pools.map(keyOf).join(', ')}`;
    },
    gauges: () => config?.gauges() ?? manifests.gauges(),
    close() {
      config?.close();
      manifests.close();
    },
  };
}
