import type { Condition as StatusCondition } from '../../api/conditions.ts';
import type { Condition } from '../conditions.ts';
import { cut, timeText } from './wording.ts';

export interface ConditionContext {
  /** Generation of the object that the conditions speak of. */
  readonly generation: number;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** The conditions that the object has. */
  readonly previous: readonly StatusCondition[];
}

/** Long lists of faults stay readable, and an object stays small. */
const longestMessage = 1024;

/**
 * The conditions of an object, one for each of `types` in that order. Of several decisions about one type the worst
 * stands; a type that nobody decided is Unknown. `lastTransitionTime` moves only when the status does.
 */
export function mergeConditions(
  types: readonly Condition['type'][],
  decided: readonly Condition[],
  context: ConditionContext,
): StatusCondition[] {
  return types.map((type) => {
    const { status, reason, message } = worst(decided.filter((condition) => condition.type === type)) ?? undecided;
    const known = context.previous.find((condition) => condition.type === type);
    // Conditions without a generation are the defaults of the CRD: no router has said them.
    const stays = known?.status === status && known.observedGeneration !== undefined;
    return {
      type,
      status,
      observedGeneration: context.generation,
      lastTransitionTime: stays ? known.lastTransitionTime : timeText(context.now),
      reason,
      message: cut(message, longestMessage),
    };
  });
}

const undecided = {
  status: 'Unknown',
  reason: 'Pending',
  message: 'not known while the object is not accepted; see Accepted',
} as const;

function worst(decided: readonly Condition[]): Condition | undefined {
  return [...decided].sort((a, b) => badness(b) - badness(a))[0];
}

/** A True with a reason of its own, such as ScrapeSlowed, says more than a plain one. */
function badness({ type, status, reason }: Condition): number {
  if (status === 'False') return 3;
  if (status === 'Unknown') return 2;
  return reason === type ? 0 : 1;
}
