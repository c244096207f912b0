import { Type } from 'typebox';
import type { TProperties } from 'typebox';
import { registry } from '../policies/index.ts';
import type { PluginDefinition } from '../policies/registry.ts';
import { detectorFields } from './endpoint-picker-config-detector.ts';
import { managerParameters } from './endpoint-picker-config-manager.ts';
import { closed, type SchemaNode } from './schema-node.ts';

/** What stands in a profile, as the registry tells it apart. */
type PlacedRole = PluginDefinition['kind'];

/**
 * What a plugin does here. What does not stand in a profile is in force by being declared; what the reference picker
 * makes a plugin of and this router does anyway is `builtin`.
 */
export type PluginRole = PlacedRole | 'profile-handler' | 'detector' | 'parser' | 'builtin';

/** A plugin that a file may name. */
export interface PluginKind {
  readonly role: PluginRole;
  /** What it does, in a sentence. */
  readonly summary: string;
  /** All that a file may give as `parameters`. */
  readonly parameters: SchemaNode;
  /** Those that the plugin itself reads; the others are for the whole picker, or without an effect. */
  readonly own: ReadonlySet<string>;
}

const count = (description: string) => Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000_000, description }));
const noEffect = 'No effect: what is remembered of an engine follows the size of its KV cache.';

/** What the reference picker's books of prefixes are set up with. */
const prefixBooks = {
  autoTune: Type.Optional(Type.Boolean({ description: noEffect })),
  blockSize: count(noEffect),
  hashBlockSize: count(noEffect),
  blockSizeTokens: count(noEffect),
  maxPrefixBlocksToMatch: count(noEffect),
  maxPrefixTokensToMatch: count(noEffect),
  lruCapacityPerServer: count(noEffect),
};

const prefixScorer = {
  ...prefixBooks,
  prefixMatchInfoProducerName: Type.Optional(
    Type.Enum(['', 'approx-prefix-cache-producer'], {
      type: 'string',
      description: 'Who knows which prefixes are cached: the router itself.',
    }),
  ),
  prefixLengthWeight: Type.Optional(
    Type.Number({ minimum: 0, maximum: 0, description: 'Weight of the absolute length.', 'x-words': '0' }),
  ),
  maxModelLen: count('No effect without `prefixLengthWeight`.'),
};

const endpoints = {
  maxNumOfEndpoints: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 64,
      description:
        'How many endpoints are named, the pick first and then its fallbacks; the flag of `epp` where it is left out.',
    }),
  ),
};

/** Parameters that files give and the plugins themselves do not read, or of which more can be said in a file. */
const besides: Readonly<Record<string, TProperties>> = {
  'scorer-aggregate-kv-cache-aware': managerParameters,
  'scorer-pd-kv-cache-aware': managerParameters,
  'prefix-cache-scorer': prefixScorer,
  'max-score-picker': endpoints,
  'random-picker': endpoints,
  'weighted-random-picker': endpoints,
};

/** Not a plugin of the registry, but may be declared. */
interface DeclaredKind {
  readonly role: PluginRole;
  readonly summary: string;
  readonly parameters: TProperties;
}

const declared: Readonly<Record<string, DeclaredKind>> = {
  'single-profile-handler': { role: 'profile-handler', summary: 'Runs the one profile there is.', parameters: {} },
  'openai-parser': { role: 'parser', summary: 'Reads requests as those of the OpenAI API.', parameters: {} },
  'utilization-detector': {
    role: 'detector',
    summary: 'Tells by queue and cache usage whether an endpoint is saturated.',
    parameters: {
      ...detectorFields,
      headroom: Type.Optional(
        Type.Number({ minimum: 0, maximum: 0, description: 'Burst above the thresholds: none.', 'x-words': '0' }),
      ),
    },
  },
  'metrics-data-source': {
    role: 'builtin',
    summary: 'The metrics of the engines, which are read in any case.',
    parameters: {
      scheme: Type.Optional(Type.Enum(['http'], { type: 'string', description: 'How engines are asked.' })),
      path: Type.Optional(
        Type.Enum(['/metrics'], { type: 'string', description: 'Where engines tell their numbers.' }),
      ),
      insecureSkipVerify: Type.Optional(Type.Boolean({ description: 'No effect over http.' })),
    },
  },
  'core-metrics-extractor': { role: 'builtin', summary: 'Queue and cache usage out of the metrics.', parameters: {} },
  'models-data-source': {
    role: 'builtin',
    summary: 'The models of the engines, which are learned in any case.',
    parameters: {},
  },
  'models-data-extractor': { role: 'builtin', summary: 'Names out of the lists of models.', parameters: {} },
  'inflight-load-producer': {
    role: 'builtin',
    summary: "The router's own requests in flight, which are counted in any case.",
    parameters: {},
  },
  'approx-prefix-cache-producer': {
    role: 'builtin',
    summary: 'Which prefixes are cached where, told from what was sent there.',
    parameters: prefixBooks,
  },
};

function* kinds(): Generator<readonly [type: string, kind: PluginKind]> {
  const { presets: _strategies, ...plugins } = registry;
  for (const definition of Object.values(plugins).flatMap((ofKind) => [...ofKind.values()])) {
    const { type, kind, parameters } = definition;
    const more = Object.hasOwn(besides, type) ? besides[type] : {};
    yield [
      type,
      {
        role: kind,
        summary: definition.summary,
        parameters: closed({ ...parameters.properties, ...more }, { description: definition.summary }),
        own: new Set(Object.keys(parameters.properties)),
      },
    ];
  }
  for (const [type, { role, summary, parameters }] of Object.entries(declared))
    yield [type, { role, summary, parameters: closed(parameters, { description: summary }), own: new Set() }];
}

/** Every plugin that a file may name. */
export const pluginKinds: ReadonlyMap<string, PluginKind> = new Map(kinds());

export const parametersByType: ReadonlyMap<string, SchemaNode> = new Map(
  [...pluginKinds].map(([type, { parameters }]) => [type, parameters]),
);
