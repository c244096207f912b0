import type { Attempts } from './decision.ts';
import type { Endpoint } from './endpoint.ts';
import { isAllowed } from './openness.ts';
import type { RoutingPolicy } from './policy.ts';
import type { PairTopology } from './pair-topology.ts';
import { topologyFor } from './profiles.ts';
import type { EndpointStates } from './states.ts';

/** Over either bound an engine has no room for more. */
export interface SaturationBounds {
  /** Waiting requests. */
  readonly queueDepth: number;
  /** Share of the KV cache in use, 0..1. */
  readonly cacheUsage: number;
}

/** Those of the reference endpoint picker. */
export const defaultBounds: SaturationBounds = Object.freeze({ queueDepth: 5, cacheUsage: 0.8 });

const Room = { nobody: 0, full: 1, some: 2 } as const;

/** The states of engines, and which of them count. */
interface Measure {
  readonly states: EndpointStates;
  readonly bounds: SaturationBounds;
  /** As in Attempts. */
  readonly only: Attempts['only'];
}

/**
 * Whether every ready engine of every backend that takes traffic is over a bound; where pairs share the work, whether
 * no group has both a prefiller and a decoder with room. Without a ready engine nothing is saturated: that is another
 * error.
 */
export function isSaturated(policy: RoutingPolicy, measure: Measure): boolean {
  let most: number = Room.nobody;
  for (const { group, weight } of policy.backends) {
    if (weight === 0) continue;
    const topology = topologyFor(policy, group);
    const room =
      topology === null
        ? roomAmong(group.endpoints, measure, measure.only)
        : roomOfPairs(topology, group.endpoints, measure);
    most = Math.max(most, room);
  }
  return most === Room.full;
}

function roomOfPairs({ grouping, handover }: PairTopology, endpoints: readonly Endpoint[], measure: Measure): number {
  const led = handover === 'Leader';
  let most: number = Room.nobody;
  for (const { prefills, decodes, leaders } of grouping.groupsOf(endpoints)) {
    // A leader computes nothing: it is there or it is not.
    if (led && roomAmong(leaders, measure, measure.only) === Room.nobody) continue;
    const decoding = roomAmong(decodes, measure, led ? null : measure.only);
    most = Math.max(most, Math.min(roomAmong(prefills, measure, null), decoding));
  }
  return most;
}

function roomAmong(endpoints: readonly Endpoint[], { states, bounds }: Measure, only: Attempts['only']): number {
  let most: number = Room.nobody;
  for (const endpoint of endpoints) {
    const { slot } = endpoint;
    if (!states.isReady(slot) || !isAllowed(endpoint, only)) continue;
    if (states.waitingNow(slot) <= bounds.queueDepth && states.usageNow(slot) <= bounds.cacheUsage) return Room.some;
    most = Room.full;
  }
  return most;
}
