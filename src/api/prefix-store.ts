import { Type } from 'typebox';
import type { Static } from 'typebox';
import { address, hostName, objectName, port } from './names.ts';
import { closed, withRules } from './schema-node.ts';
import { union } from './union.ts';

const service = closed(
  { name: objectName('Name of the Service.'), port: port('Its port.', { default: 6379 }) },
  { description: 'The Service of the server, in the namespace of the group.' },
);

const tls = closed(
  {
    caSecretRef: Type.Optional(
      closed(
        { name: objectName('Name of the Secret; its key `ca.crt` holds the certificates, PEM.') },
        { description: 'The authorities that sign its certificate; those of the system when left out.' },
      ),
    ),
    serverName: Type.Optional(hostName('Name that its certificate must carry, if not its host.')),
  },
  { description: 'TLS towards the server; plain when left out.' },
);

const redis = withRules(
  closed(
    {
      service: Type.Optional(service),
      address: Type.Optional(
        address('Host and port of the server; in a cluster only with `--allow-external-targets`.'),
      ),
      secretRef: Type.Optional(
        closed(
          { name: objectName('Name of the Secret; its keys are `password` and, if the server has users, `username`.') },
          { description: 'What the server wants to be told.' },
        ),
      ),
      tls: Type.Optional(tls),
    },
    { description: 'A Redis (6.2 or later) or Valkey server.' },
  ),
  [
    {
      cel: 'has(self.service) != has(self.address)',
      message: 'needs exactly one of `service` and `address`',
      cure: 'write either `service` or `address`',
      check: ({ service, address }) => (service === undefined) !== (address === undefined),
    },
  ],
);

/** Where the router keeps what it has sent to which engine. */
export const prefixStore = union(
  'Where the router keeps what it has sent to which engine. Memory (the default): in each replica. Redis: shared by all ' +
    'replicas, which need the flag `--prefix-key-file`; nothing waits for it.',
  { Memory: null, Redis: redis },
);

export type PrefixStore = Static<typeof prefixStore>;
export type RedisStore = Static<typeof redis>;
