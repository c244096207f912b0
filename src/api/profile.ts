import { Type } from 'typebox';
import type { TProperties } from 'typebox';
import { registry } from '../policies/index.ts';
import type { Direction } from '../router/plugin.ts';
import { closed, withRules } from './schema-node.ts';
import type { SchemaNode } from './schema-node.ts';

type Definitions = ReadonlyMap<string, { readonly type: string; readonly parameters: SchemaNode }>;

/** At run time the plugin's own schema checks them; the API server takes any object. */
const parameters = Type.Unsafe<Record<string, unknown>>({
  type: 'object',
  default: {},
  'x-kubernetes-preserve-unknown-fields': true,
  'x-reason': 'InvalidParameters',
  description: 'Parameters of the plugin, as docs/reference/policies.md lists them.',
});

/** A plugin by name, with its parameters. */
const plugin = <P extends TProperties>(definitions: Definitions, description: string, more: P) =>
  closed(
    {
      type: Type.Enum([...definitions.keys()], { type: 'string', description: 'Name of the plugin.' }),
      ...more,
      parameters,
    },
    {
      description,
      'x-parameters': { schemas: new Map([...definitions].map(([type, { parameters }]) => [type, parameters])) },
    },
  );

const scorerWeight = Type.Number({
  minimum: 0,
  maximum: 1000000,
  default: 1,
  description: 'Factor of its scores in the sum.',
});

const ofDirection = (direction: Direction): string[] =>
  [...registry.scorers.values()].filter((scorer) => scorer.direction === direction).map(({ type }) => type);

const costs = ofDirection('cost');
const gains = ofDirection('gain');
const celList = (types: readonly string[]): string => `[${types.map((type) => `'${type}'`).join(', ')}]`;

const scorers = withRules(
  Type.Array(plugin(registry.scorers, 'A scorer.', { weight: scorerWeight }), {
    maxItems: 16,
    'x-kubernetes-list-type': 'atomic',
    default: [],
    description: 'Scorers whose weighted scores are added up, all costs or all gains.',
  }),
  [
    {
      cel: `!(self.exists(s, s.type in ${celList(costs)}) && self.exists(s, s.type in ${celList(gains)}))`,
      message: 'mixes scorers whose lowest value wins with scorers whose highest value wins',
      cure: `use either costs (${costs.join(', ')}) or gains (${gains.join(', ')})`,
      reason: 'MixedScorerDirections',
      check: (list) =>
        !(list.some(({ type }) => costs.includes(type)) && list.some(({ type }) => gains.includes(type))),
    },
  ],
);

/** A scheduling profile spelled out: what the presets are made of. */
export const profile = closed(
  {
    filters: Type.Array(plugin(registry.filters, 'A filter.', {}), {
      maxItems: 16,
      'x-kubernetes-list-type': 'atomic',
      default: [],
      description: 'Filters that an endpoint must pass, in this order.',
    }),
    scorers,
    picker: Object.assign(plugin(registry.pickers, 'What picks among the scored endpoints.', {}), {
      default: { type: 'picker-min-random' },
    }),
  },
  { description: 'Filters, scorers and a picker, spelled out.' },
);
