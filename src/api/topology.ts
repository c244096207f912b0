import { Type } from 'typebox';
import type { Static } from 'typebox';
import { limit } from './duration.ts';
import { podLabel, podLabelValue } from './labels.ts';
import { closed, withRules } from './schema-node.ts';
import { union } from './union.ts';

const disaggregate = withRules(
  closed(
    {
      type: Type.Enum(['Always', 'Threshold'], {
        type: 'string',
        description: 'Always, or by Threshold: only prompts of which no decoder has enough cached.',
      }),
      uncachedTokens: Type.Optional(
        Type.Integer({
          minimum: 0,
          maximum: 100_000_000,
          description:
            'Goes with Threshold: a request of which some decoder would compute at most so many prompt tokens by itself goes to that decoder alone.',
        }),
      ),
    },
    { default: { type: 'Always' }, description: 'Which requests two engines share.' },
  ),
  [
    {
      cel: "self.type != 'Threshold' || has(self.uncachedTokens)",
      message: 'is missing, and type Threshold needs it',
      cure: 'add `uncachedTokens`, such as 256, or write `type: Always`',
      field: 'uncachedTokens',
      check: ({ type, uncachedTokens }) => type !== 'Threshold' || uncachedTokens !== undefined,
    },
    {
      cel: "self.type == 'Threshold' || !has(self.uncachedTokens)",
      message: 'goes with type Threshold only',
      cure: 'remove `uncachedTokens`, or write `type: Threshold`',
      field: 'uncachedTokens',
      check: ({ type, uncachedTokens }) => type === 'Threshold' || uncachedTokens === undefined,
    },
  ],
);

const stages = closed(
  {
    prefill: limit('How long a prefiller may take to answer.', '60s'),
    decode: limit('How long a stream may take from then on to its first byte.', '60s'),
  },
  { default: {}, description: 'How long each stage may take where the router hands over.' },
);

const prefillDecode = withRules(
  closed(
    {
      roleLabel: podLabel("Label that tells an engine's role.", 'openfuyao.com/pdRole'),
      groupLabel: podLabel('Label with the id of its xPyD group.', 'openfuyao.com/pdGroupID'),
      prefillValue: podLabelValue('Role of engines that compute prompts.', 'prefill'),
      decodeValue: podLabelValue('Role of engines that compute answers.', 'decode'),
      leaderValue: podLabelValue('Role of the pod that takes requests for its group.', 'leader'),
      handover: Type.Enum(['Leader', 'Router'], {
        type: 'string',
        default: 'Leader',
        description:
          'Who hands a request over from prefiller to decoder: the leader of their group, or the router itself, which needs no leader.',
      }),
      disaggregate,
      timeouts: stages,
    },
    { description: 'How prefillers, decoders and leaders are told, and who hands over.' },
  ),
  [
    {
      cel: 'self.roleLabel != self.groupLabel',
      message: 'is the label of the role, too',
      cure: 'name another label for the groups',
      field: 'groupLabel',
      check: ({ roleLabel, groupLabel }) => roleLabel !== groupLabel,
    },
    {
      cel: 'self.prefillValue != self.decodeValue && self.prefillValue != self.leaderValue && self.decodeValue != self.leaderValue',
      message: 'has two roles of one name',
      cure: 'give `prefillValue`, `decodeValue` and `leaderValue` three different values',
      check: ({ prefillValue, decodeValue, leaderValue }) =>
        new Set([prefillValue, decodeValue, leaderValue]).size === 3,
    },
  ],
);

/** How the engines of a group share the work of one request. */
export const topology = union(
  'How the engines share the work of one request. Aggregate: each engine does prefill and decode. PrefillDecode: one engine computes the prompt and another the answer.',
  { Aggregate: null, PrefillDecode: prefillDecode },
  { type: 'Aggregate' },
);

export type Topology = Static<typeof topology>;
export type PrefillDecode = Static<typeof prefillDecode>;
