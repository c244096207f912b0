import { backend, group, pairGroup, policy, profile, readyStates, request, seeded } from '../../test/fixtures/fleet.ts';
import type { ProfileSpec } from '../policies/definition.ts';
import { firstAttempt, type Attempts, type Decision } from './decision.ts';
import type { Endpoint } from './endpoint.ts';
import type { DecisionObserver } from './observer.ts';
import type { Backend, BackendGroup, RoutingPolicy } from './policy.ts';
import { Router } from './router.ts';
import type { EndpointStates } from './states.ts';

export const filters = [{ type: 'filter-by-pd-label' }];
export const anyPair: ProfileSpec = { filters, picker: { type: 'picker-random-pd-bucket' } };
export const kvAware: ProfileSpec = { filters, scorers: [{ type: 'scorer-pd-kv-cache-aware' }] };
export const bucket: ProfileSpec = { filters, scorers: [{ type: 'scorer-pd-bucket' }] };
export const specs: [string, ProfileSpec][] = [
  ['a random pair', anyPair],
  ['the KV-aware pair', kvAware],
  ['the bucket', bucket],
];

export interface World {
  readonly router: Router;
  readonly states: EndpointStates;
  readonly policy: RoutingPolicy;
}

export function world(
  backends: readonly Backend[],
  spec: ProfileSpec = anyPair,
  random = seeded(1),
  observer?: DecisionObserver,
): World {
  const slots = backends.flatMap((each) => each.group.endpoints.map(({ slot }) => slot + 1));
  const states = readyStates(Math.max(0, ...slots));
  return {
    states,
    policy: policy({ backends, profile: profile(spec, states, random) }),
    router: new Router({ states, random, ...(observer === undefined ? {} : { observer }) }),
  };
}

export const fleet = (...lists: Endpoint[][]): Backend => backend({ group: group({ endpoints: lists.flat() }) });

/** The same with how its groups share the work, and with more of the group where it matters. */
export const sharing = (over: Partial<BackendGroup>, ...lists: Endpoint[][]): Backend =>
  backend({ group: group({ endpoints: lists.flat(), ...over }) });

export function tryDecide(
  { router, policy: asked }: World,
  over: Partial<Attempts> = {},
  about = request(),
): Decision | null {
  return router.decide(asked, about, { ...firstAttempt, ...over });
}

export function decide(setup: World, over: Partial<Attempts> = {}, about = request()): Decision {
  const decision = tryDecide(setup, over, about);
  if (decision === null) throw new Error('no pair was found');
  return decision;
}

/** Names of leader, prefiller and decoder. */
export function chosen({ endpoint: leader, handover }: Decision): string[] {
  return [leader.name, handover?.prefill.name ?? 'none', handover?.decode.name ?? 'none'];
}

export const groupOf = (member: Endpoint | undefined): string | undefined => member?.labels['openfuyao.com/pdGroupID'];

/** Two prefillers in slots 0 and 1, a decoder in 2, a leader in 3; and the same from 4 on. */
export const twoGroups = (): Backend =>
  fleet(
    pairGroup({ name: 'a', from: 0, prefills: 2, decodes: 1 }),
    pairGroup({ name: 'b', from: 4, prefills: 2, decodes: 1 }),
  );
