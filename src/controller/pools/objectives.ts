import { poolGroup } from '../../api/backend-refs.ts';
import { parseDocuments } from '../../api/documents.ts';
import { fieldsOf, textOf } from '../discovery/fields.ts';
import { placeOf } from '../discovery/object-view.ts';
import type { PoolName } from './pool-ref.ts';

/** API groups and versions of InferenceObjective; of two objects by one name the first group's counts. */
export const objectiveApis = ['llm-d.ai/v1alpha2', 'inference.networking.x-k8s.io/v1alpha2'] as const;

export type ObjectiveApi = (typeof objectiveApis)[number];

/** What is read of an InferenceObjective. */
export interface Objective {
  readonly api: ObjectiveApi;
  readonly namespace: string;
  readonly name: string;
  /** Name of the InferencePool that it is about, in its own namespace. */
  readonly pool: string;
  /** Negative: may be shed when the pool is saturated. */
  readonly priority: number;
}

/** Trims an InferenceObjective; null for what is none or names no InferencePool. Never throws. */
export function keepObjective(api: ObjectiveApi): (object: unknown) => Objective | null {
  return (object) => {
    const place = placeOf(object);
    if (place === null) return null;
    const { poolRef, priority } = fieldsOf(fieldsOf(object).spec);
    const { group = poolGroup, kind = 'InferencePool', name } = fieldsOf(poolRef);
    const pool = textOf(name);
    if (pool === '' || kind !== 'InferencePool' || group !== poolGroup) return null;
    const { namespace, name: own } = place;
    return { api, namespace, name: own, pool, priority: Number.isInteger(priority) ? Number(priority) : 0 };
  };
}

/** Whether two versions of an InferenceObjective are one to us. */
export const sameObjective = (a: Objective, b: Objective): boolean => a.pool === b.pool && a.priority === b.priority;

/** The objectives in a file of manifests; a file at fault has none. */
export function objectivesIn({ path, text }: { readonly path: string; readonly text: string }): Objective[] {
  return parseDocuments(text, path).documents.flatMap(({ value }) => {
    const { apiVersion, kind, metadata, spec } = fieldsOf(value);
    const api = objectiveApis.find((known) => known === apiVersion);
    if (api === undefined || kind !== 'InferenceObjective') return [];
    const object = { spec, metadata: { namespace: 'default', ...fieldsOf(metadata) } };
    const objective = keepObjective(api)(object);
    return objective === null ? [] : [objective];
  });
}

/** The priorities that requests may ask for by the name of an objective. */
export class Objectives {
  private readonly known = new Map<string, Objective>();

  set(objective: Objective): void {
    this.known.set(keyOf(objective.api, objective), objective);
  }

  remove(objective: Objective): void {
    this.known.delete(keyOf(objective.api, objective));
  }

  /** Takes these in place of all. */
  replace(objectives: readonly Objective[]): void {
    this.known.clear();
    for (const objective of objectives) this.set(objective);
  }

  get size(): number {
    return this.known.size;
  }

  /** The priority of a pool's requests with this objective; 0 where the pool has none of that name. */
  priorityOf(pool: PoolName, name: string): number {
    for (const api of objectiveApis) {
      const objective = this.known.get(keyOf(api, { namespace: pool.namespace, name }));
      if (objective?.pool === pool.name) return objective.priority;
    }
    return 0;
  }
}

const keyOf = (api: ObjectiveApi, { namespace, name }: PoolName): string => `${api} ${namespace}/${name}`;
