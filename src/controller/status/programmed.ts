import type { Condition } from '../conditions.ts';
import { met, unmet } from '../conditions.ts';
import type { ReplicaView } from '../peers/replica-view.ts';
import { listed } from './wording.ts';

/** Which version of a policy is meant to run, and which does. */
export interface PolicyVersions {
  /** `namespace/name`. */
  readonly key: string;
  /** `metadata.generation` of the object. */
  readonly generation: number;
  /** Generation that this replica has in force; null where no version was ever valid. */
  readonly inForce: number | null;
}

export interface Programmed {
  /** Ready replicas that run the object's generation. */
  readonly replicas: number;
  /** Decides about Programmed; `refusedSince` is when the object's newest version stopped being in force. */
  readonly condition: (refusedSince: string) => Condition;
}

/** Whether every ready replica runs the newest version of a policy. */
export function programmed(versions: PolicyVersions, replicas: readonly ReplicaView[]): Programmed {
  const { key, generation, inForce } = versions;
  const ready = replicas.filter(({ state }) => state === 'ready');
  // A replica whose watch is ahead of the leader's has what the leader has, and more.
  const running = ready.filter(({ policies }) => (policies.get(key)?.generation ?? -1) >= generation).length;
  return {
    replicas: running,
    condition: (refusedSince) => {
      if (inForce === null) return unmet('Programmed', 'Pending', neverValid);
      if (inForce < generation) return unmet('Programmed', 'LastGoodInForce', lastGood(versions, refusedSince));
      return spread(generation, { running, ready, silent: replicas.filter(({ state }) => state === 'silent') });
    },
  };
}

const neverValid =
  'no version of this policy has been valid yet: its requests are answered 503 policy_invalid; see Accepted';

function lastGood({ generation, inForce }: PolicyVersions, since: string): string {
  return `generation ${inForce} stays in force since generation ${generation} or one before it was refused at ${since}; see Accepted`;
}

interface Spread {
  readonly running: number;
  readonly ready: readonly ReplicaView[];
  readonly silent: readonly ReplicaView[];
}

function spread(generation: number, { running, ready, silent }: Spread): Condition {
  const total = ready.length + silent.length;
  if (total === 0) return pending('Unknown', 'no replica of the router is ready; look at its pods');
  if (running === total) return met('Programmed', `every ready replica runs generation ${generation}`);
  const progress = `${running} of ${total} ready replicas run generation ${generation}`;
  if (silent.length === 0) return pending('False', progress);
  const names = listed(
    silent.map(({ replica }) => replica),
    200,
  );
  const message = `${progress}; not answering at the admin address: ${names}; look at those pods and at the admin token`;
  return pending(running === ready.length ? 'Unknown' : 'False', message);
}

function pending(status: Condition['status'], message: string): Condition {
  return { type: 'Programmed', status, reason: 'Pending', message };
}
