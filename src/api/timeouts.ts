import type { Static } from 'typebox';
import { duration, limit } from './duration.ts';
import { closed } from './schema-node.ts';

/** How long the parts of an exchange may take. */
export const timeouts = closed(
  {
    connect: duration('Until an engine accepts the connection.', '1s'),
    firstByte: limit('Streams: until the first byte of the answer.', '60s'),
    streamIdle: limit('Streams: between two pieces of the answer.', '60s'),
    nonStreaming: limit('The whole exchange of a request that does not stream.', '600s'),
    request: limit('The whole exchange of any request.', '0s'),
  },
  { default: {}, description: 'How long the parts of an exchange may take.' },
);

export type Timeouts = Static<typeof timeouts>;
