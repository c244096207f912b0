import { Type } from 'typebox';
import type { Static } from 'typebox';
import { closed } from './schema-node.ts';

const budget = closed(
  {
    percent: Type.Integer({
      minimum: 0,
      maximum: 100,
      default: 20,
      description: 'Share of the requests of the last seconds that may be retries, in percent.',
    }),
    minPerSecond: Type.Integer({
      minimum: 0,
      maximum: 100000,
      default: 10,
      description: 'Retries a second that are always allowed.',
    }),
  },
  { default: {}, description: 'How many retries there may be; ConnectFailure does not count.' },
);

/** When a request is tried on another endpoint; never after a byte has gone to the client. */
export const retries = closed(
  {
    attempts: Type.Integer({ minimum: 0, maximum: 10, default: 2, description: 'Further endpoints after the first.' }),
    on: Type.Array(
      Type.Enum(['ConnectFailure', 'Reset', 'Unavailable', 'Timeout'], {
        type: 'string',
        description:
          'ConnectFailure: nothing was accepted. Reset: broken before a byte of the answer. ' +
          'Unavailable: the engine said 503. Timeout: no first byte in time.',
      }),
      {
        maxItems: 4,
        'x-kubernetes-list-type': 'set',
        default: ['ConnectFailure', 'Reset'],
        description:
          'Failures that are retried. Write the name in quotes, `"on"`: kubectl reads YAML 1.1, where a bare on is true.',
      },
    ),
    budget,
  },
  {
    default: {},
    description: 'When a request is tried on another endpoint; never after a byte has gone to the client.',
  },
);

export type Retries = Static<typeof retries>;
