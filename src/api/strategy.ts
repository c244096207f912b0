import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { ProfileSpec } from '../policies/definition.ts';
import { registry } from '../policies/index.ts';
import { profile } from './profile.ts';
import { unionSchema } from './union.ts';
import type { UnionMember } from './union.ts';

/** A strategy as decoded: the member that its type names is there, with its defaults. */
export interface Strategy {
  readonly type: string;
  readonly profile?: ProfileSpec;
  readonly [member: string]: unknown;
}

const presets: UnionMember[] = [...registry.presets.values()].map(({ type, member, summary, parameters }) => ({
  type,
  member,
  schema: Object.assign(Type.Object(parameters.properties, { additionalProperties: false }), {
    description: summary,
    'x-reason': 'InvalidParameters',
  }),
}));

const members: UnionMember[] = [...presets, { type: 'Profile', member: 'profile', schema: profile }];

/** How an endpoint is chosen: a preset of the registry, or a profile spelled out. */
export const strategy = Type.Unsafe<Strategy>(
  Object.assign(
    unionSchema(
      'How an endpoint is chosen for a request: a preset by name, or Profile, the same thing spelled out.',
      members.map(({ type }) => type),
      members,
    ),
    { default: { type: 'Auto' } },
  ),
);

/** What a strategy stands for. */
export interface ExpandedStrategy {
  readonly profile: ProfileSpec;
  /** Of backends whose engines share the work; absent where `profile` serves these, too, or nothing does. */
  readonly pairs?: ProfileSpec;
}

/** What a decoded strategy stands for. Throws a TypeError for a strategy that was not decoded. */
export function expandStrategy(strategy: Strategy): ExpandedStrategy {
  if (strategy.type === 'Profile' && strategy.profile !== undefined) return { profile: strategy.profile };
  const preset = registry.presets.get(strategy.type);
  const parameters = preset === undefined ? undefined : strategy[preset.member];
  if (preset === undefined || !Value.Check(preset.parameters, parameters)) {
    throw new TypeError(`strategy ${strategy.type} was not decoded; pass what decodeResource returned`);
  }
  const profile = preset.expand(parameters);
  const pairs = preset.expandPairs?.(parameters);
  return pairs === undefined ? { profile } : { profile, pairs };
}
