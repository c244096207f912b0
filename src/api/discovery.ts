import { Type } from 'typebox';
import type { Static } from 'typebox';
import { labels, labelSelector } from './labels.ts';
import { address, labelName, objectName, port } from './names.ts';
import { closed, withRules } from './schema-node.ts';
import { union } from './union.ts';

const pods = closed(
  {
    selector: labelSelector('Which Pods of the namespace are engines.'),
    targetPorts: Type.Array(
      closed({ number: port('Number of the port.') }, { description: 'A port that an engine listens on.' }),
      {
        minItems: 1,
        maxItems: 8,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['number'],
        description: 'Ports of each Pod; every port is an endpoint of its own.',
      },
    ),
  },
  { description: 'Pods that carry the given labels.' },
);

const service = withRules(
  closed(
    {
      name: Type.Optional(objectName('Name of the Service.')),
      selector: Type.Optional(labelSelector('Which Services of the namespace.')),
      port: port('Number of the port of the Service.'),
    },
    { description: 'The endpoints behind one Service, by name, or behind several, by label.' },
  ),
  [
    {
      cel: 'has(self.name) != has(self.selector)',
      message: 'needs exactly one of `name` and `selector`',
      cure: 'write either `name` or `selector`',
      check: ({ name, selector }) => (name === undefined) !== (selector === undefined),
    },
  ],
);

const inferencePool = closed(
  { name: objectName('Name of the InferencePool.') },
  { description: 'The Pods of an InferencePool of the Gateway API Inference Extension.' },
);

const staticEndpoint = closed(
  {
    name: objectName('Name of the endpoint, unique in the group.'),
    address: address('Where the engine listens: `host:port`, an IPv6 address in brackets.'),
    labels: Type.Optional(labels('Labels that filters may ask for.', { maxProperties: 8 })),
    ports: Type.Optional(
      Type.Array(
        closed(
          { name: labelName('Name of the port, such as `zmq-pub`.', { maxLength: 15 }), port: port('Its number.') },
          { description: 'A named port.' },
        ),
        {
          maxItems: 8,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          description: 'Named ports beside the serving one, on the same host.',
        },
      ),
    ),
  },
  { description: 'An engine at a fixed address.' },
);

const fixed = closed(
  {
    endpoints: Type.Array(staticEndpoint, {
      minItems: 1,
      maxItems: 256,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      description: 'The engines.',
    }),
  },
  { description: 'Endpoints at fixed addresses; in a cluster only with `--allow-external-targets`.' },
);

/** Where a group's engines are found; everything named lies in the group's own namespace. */
export const discovery = union('Where the engines are found, in the namespace of the group.', {
  Pods: pods,
  Service: service,
  InferencePool: inferencePool,
  Static: fixed,
});

export type Discovery = Static<typeof discovery>;
export type StaticEndpoint = Static<typeof staticEndpoint>;
