import { Type } from 'typebox';
import type { Static } from 'typebox';
import { parametersByType } from './endpoint-picker-config-plugins.ts';
import { detectorFields } from './endpoint-picker-config-detector.ts';
import { closed } from './schema-node.ts';

/** The first is the Inference Extension's, the others are llm-d's. */
export const apiVersions = ['inference.networking.x-k8s.io/v1alpha1', 'llm-d.ai/v1alpha1', 'llm-d.ai/v1'] as const;
export const kind = 'EndpointPickerConfig';

const longest = 64;

const word = (description: string) => Type.String({ minLength: 1, maxLength: 253, description });

const pluginRef = word('Name of an entry of `plugins`.');
const reference = (description: string) => closed({ pluginRef }, { description });

/** What is known but not supported: endpoint-picker-config-refusals.ts says so, field by field. */
const refused = (description: string) =>
  Type.Optional(Type.Unsafe<unknown>({ description: `Not supported: ${description}`, 'x-words': 'anything' }));

const plugin = closed(
  {
    name: Type.Optional(word('Name by which profiles refer to it; the type where it is left out.')),
    type: word('Which plugin it is.'),
    parameters: Type.Unsafe<Record<string, unknown>>({
      type: 'object',
      default: {},
      'x-reason': 'InvalidParameters',
      description: 'Parameters of the plugin.',
    }),
  },
  { description: 'A plugin with its parameters.', 'x-parameters': { schemas: parametersByType } },
);

const weighted = closed(
  {
    pluginRef,
    weight: Type.Optional(
      Type.Number({ minimum: 0, maximum: 1_000_000, description: 'Factor of a scorer; 1 where it is left out.' }),
    ),
  },
  { description: 'A plugin of the profile.' },
);

const schedulingProfile = closed(
  {
    name: word('Name of the profile.'),
    plugins: Type.Array(weighted, {
      minItems: 1,
      maxItems: longest,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['pluginRef'],
      description: 'Its plugins.',
    }),
  },
  { description: 'The plugins that choose an endpoint.' },
);

const source = closed(
  {
    pluginRef,
    extractors: Type.Optional(
      Type.Array(reference('What reads the source.'), { maxItems: longest, description: 'What reads the source.' }),
    ),
  },
  { description: 'Where numbers about endpoints come from.' },
);

const dataLayer = closed(
  {
    sources: Type.Optional(Type.Array(source, { maxItems: longest, description: 'Where numbers come from.' })),
    injectDefaults: Type.Optional(
      Type.Boolean({ description: "Whether the engines' metrics are read without being asked for." }),
    ),
    discovery: refused('how endpoints are found.'),
    peerDiscovery: refused('how other replicas are found.'),
    crossReplica: refused('what replicas tell each other.'),
    crossReplicaSyncerPluginRef: refused('what replicas tell each other.'),
    crossReplicaSyncInterval: refused('what replicas tell each other.'),
    crossReplicaPublishTimeout: refused('what replicas tell each other.'),
  },
  { description: 'Where numbers about endpoints come from.' },
);

const detector = Type.Optional(reference('What tells whether an endpoint is saturated.'));

const flowControl = closed(
  {
    saturationDetector: detector,
    maxBytes: refused('size of the queues.'),
    maxRequests: refused('size of the queues.'),
    defaultRequestTTL: refused('time in the queues.'),
    noEndpointRequestTTL: refused('time in the queues.'),
    defaultPriorityBand: refused('the queues by priority.'),
    defaultNegativePriorityBand: refused('the queues by priority.'),
    priorityBands: refused('the queues by priority.'),
    usageLimitPolicyPluginRef: refused('when queues are emptied.'),
    enableEviction: refused('whether requests in flight make room.'),
  },
  { description: 'Queues before the decision.' },
);

const parsers = Type.Array(reference('What reads requests.'), {
  maxItems: longest,
  description: 'What reads requests.',
});

/** A document of kind EndpointPickerConfig, in all the forms that either project has given it. */
export const pickerConfigSchema = closed(
  {
    apiVersion: Type.Enum([...apiVersions], { type: 'string', description: 'Version of the form.' }),
    kind: Type.Enum([kind], { type: 'string', description: 'Kind of the document.' }),
    featureGates: Type.Optional(
      Type.Array(word('A gate, as `name` or `name=false`.'), {
        maxItems: longest,
        description: '`flowControl=false`, `dataLayer` and others whose features are here anyway.',
      }),
    ),
    plugins: Type.Array(plugin, { minItems: 1, maxItems: longest, description: 'The plugins there are.' }),
    schedulingProfiles: Type.Optional(
      Type.Array(schedulingProfile, {
        maxItems: longest,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
        description: 'How an endpoint is chosen: one profile, or of all plugins where it is left out.',
      }),
    ),
    saturationDetector: Type.Optional(
      closed(
        { ...detectorFields, pluginRef: Type.Optional(pluginRef) },
        { description: 'When an endpoint is saturated.' },
      ),
    ),
    flowControl: Type.Optional(flowControl),
    dataLayer: Type.Optional(dataLayer),
    data: Type.Optional(dataLayer),
    requestHandler: Type.Optional(
      closed(
        { parsers: Type.Optional(parsers), parser: Type.Optional(reference('What reads requests.')) },
        {
          description: 'What reads requests.',
        },
      ),
    ),
    parser: Type.Optional(reference('What reads requests.')),
  },
  { description: 'Configuration of an endpoint picker.' },
);

export type PickerDocument = Static<typeof pickerConfigSchema>;
export type PickerPlugin = PickerDocument['plugins'][number];
