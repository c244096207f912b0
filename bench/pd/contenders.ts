import { definePairScorer, type ProfileSpec } from '../../src/policies/definition.ts';
import { registry } from '../../src/policies/index.ts';
import {
  LeastTime,
  leastTimeWeights,
  pdLeastTime,
  type LeastTimeWeights,
} from '../../src/policies/pair-scorers/least-time.ts';
import { find, parametersOf } from '../../src/policies/profile-error.ts';
import type { Registry } from '../../src/policies/registry.ts';

/** How a contender routes. */
export interface Contender {
  readonly name: string;
  readonly spec: ProfileSpec;
  readonly registry: Registry;
  /** Each engine does prefill and decode. */
  readonly aggregate: boolean;
}

/** A strategy with its defaults. */
function preset(type: string): Contender {
  const definition = find(registry.presets, type, 'strategy');
  const spec = definition.expand(parametersOf(definition.parameters, { type }, 'strategy'));
  return { name: type, spec, registry, aggregate: !type.includes('PD') };
}

export const random = preset('RandomPDBucket');
export const ours = preset('PDLeastTime');
export const contenders: readonly Contender[] = [
  random,
  preset('PDBucket'),
  preset('PDKVAware'),
  ours,
  preset('KVAware'),
  preset('Auto'),
];

/** The formula of PDLeastTime with other weights. */
export function weighing(changes: Partial<LeastTimeWeights>): Contender {
  const weights = { ...leastTimeWeights, ...changes };
  const definition = definePairScorer({
    ...pdLeastTime,
    create: (_parameters, { states }) => new LeastTime(states, weights),
  });
  const pairScorers = new Map([...registry.pairScorers, [definition.type, definition]]);
  return { ...ours, registry: { ...registry, pairScorers } };
}
