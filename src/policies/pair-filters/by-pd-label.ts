import { Type } from 'typebox';
import { PairGrouping } from '../../router/pair-grouping.ts';
import { definePairFilter } from '../definition.ts';

const label = (value: string, description: string) =>
  Type.String({ minLength: 1, maxLength: 317, default: value, description });
const value = (value: string, description: string) =>
  Type.String({ minLength: 1, maxLength: 63, default: value, description });

/** Roles and groups by pod labels (v25.12). A group without a ready member of each role is out. */
export const byPdLabel = definePairFilter({
  kind: 'pair-filter',
  type: 'filter-by-pd-label',
  summary: 'Tells prefillers, decoders and leaders and their groups by labels; keeps groups that have all three.',
  parameters: Type.Object(
    {
      pdLabelName: label('openfuyao.com/pdRole', 'Label that holds the role.'),
      pdGroupLabelName: label('openfuyao.com/pdGroupID', 'Label that holds the id of the group.'),
      prefillValue: value('prefill', 'Role of an engine that computes prompts.'),
      decodeValue: value('decode', 'Role of an engine that computes answers.'),
      leaderValue: value('leader', 'Role of the pod that takes requests for the group.'),
    },
    { additionalProperties: false },
  ),
  create: ({ pdLabelName, pdGroupLabelName, prefillValue, decodeValue, leaderValue }) =>
    new PairGrouping({
      role: pdLabelName,
      group: pdGroupLabelName,
      prefill: prefillValue,
      decode: decodeValue,
      leader: leaderValue,
    }),
});
