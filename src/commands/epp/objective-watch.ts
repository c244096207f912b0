import type { KubeClient } from '../../controller/kube/contract.ts';
import { Reflector } from '../../controller/kube/reflector.ts';
import {
  keepObjective,
  objectiveApis,
  Objectives,
  sameObjective,
  type Objective,
  type ObjectiveApi,
} from '../../controller/pools/objectives.ts';
import type { Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import { collectionPaths } from '../cluster/scope.ts';
import { hasKind, KindGate } from './kind-gate.ts';

const plural = 'inferenceobjectives';

export interface ObjectiveWatchOptions {
  readonly client: KubeClient;
  /** Of the pools; each once. */
  readonly namespaces: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
}

/** Keeps the InferenceObjectives of a cluster, of whichever API groups it has; most have none, which is fine. */
export class ObjectiveWatch {
  readonly objectives = new Objectives();
  private readonly options: ObjectiveWatchOptions;
  private readonly gates: readonly KindGate[];
  private readonly reflectors: Reflector<Objective>[] = [];

  constructor(options: ObjectiveWatchOptions) {
    this.options = options;
    const { client, clock, log } = options;
    this.gates = objectiveApis.map((api): KindGate => {
      const gate = new KindGate({
        ask: () => hasKind(client, api, plural),
        onChange: () => {
          if (gate.state === 'there') this.watch(api);
        },
        what: `${plural} of ${api}`,
        clock,
        log,
      });
      return gate;
    });
  }

  start(): void {
    for (const gate of this.gates) gate.start();
  }

  close(): void {
    for (const gate of this.gates) gate.close();
    for (const reflector of this.reflectors) reflector.close();
  }

  private watch(api: ObjectiveApi): void {
    const { client, namespaces, clock, log } = this.options;
    for (const path of collectionPaths(namespaces, `/apis/${api}`, plural)) {
      const reflector = new Reflector<Objective>({
        client,
        path,
        keep: keepObjective(api),
        changed: (previous, next) => !sameObjective(previous, next),
        onChange: (_key, objective, previous) => {
          if (objective !== null) this.objectives.set(objective);
          else if (previous !== null) this.objectives.remove(previous);
        },
        onState: () => undefined,
        clock,
        log,
        random: Math.random,
      });
      this.reflectors.push(reflector);
      reflector.start();
    }
  }
}
