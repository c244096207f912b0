import { Type, type Static } from 'typebox';
import { closed } from './schema-node.ts';
import { labelName, objectName, port } from './names.ts';

/** Seconds. */
const longest = 86_400;

const labelKey = '([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?';
const labelValue = '([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?';
const pair = ` *${labelKey} *==? *${labelValue} *`;

const serviceDiscovery = closed(
  {
    labelSelector: Type.String({
      minLength: 1,
      maxLength: 2048,
      pattern: `^${pair}(,${pair}){0,7}$`,
      description: 'Labels that the Pods of the engines carry.',
      'x-words': 'one to eight labels, as in `app=vllm,tier=gold`',
    }),
    portName: labelName('Name of the port at which an engine publishes KV events.', {
      maxLength: 15,
      default: 'zmq-pub',
    }),
    inferencePort: port('Port on which the engines answer requests; what routers know them by.', { default: 8000 }),
    refreshInterval: Type.Optional(
      Type.Number({
        minimum: 0.001,
        maximum: longest,
        description: 'Time between two looks at the Pods.',
        'x-words': `a plain number of seconds from 0.001 to ${longest}`,
      }),
    ),
  },
  { description: 'How engines are found.' },
);

const app = closed({ serviceDiscovery }, { description: 'The settings of cache-indexer.' });

const service = closed(
  {
    name: Type.Optional(objectName('Name of the Service in front.')),
    port: Type.Optional(port('Port to listen on.')),
  },
  { description: 'The Service in front.' },
);

/** The part of a values file that configured cache-indexer; what stands beside belongs to the chart. */
export const valuesSchema = closed(
  { app, service: Type.Optional(service) },
  { description: 'Configuration of cache-indexer.' },
);

export type Values = Static<typeof valuesSchema>;
