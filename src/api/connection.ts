import { Type } from 'typebox';
import type { Static } from 'typebox';
import { hostName, objectName, secretKey } from './names.ts';
import { closed, withRules } from './schema-node.ts';

/** How the router speaks to the engines of a group. */
export const connection = withRules(
  closed(
    {
      scheme: Type.Enum(['http', 'https'], {
        type: 'string',
        default: 'http',
        description: 'Whether the engines speak plain HTTP or TLS.',
      }),
      caSecretRef: Type.Optional(
        closed(
          { name: objectName('Name of the Secret; its key `ca.crt` holds the certificates, PEM.') },
          {
            description:
              'The authorities that sign the certificates of the engines; those of the system when left out.',
          },
        ),
      ),
      serverName: Type.Optional(
        hostName('Name that the certificates of the engines must carry, if not their address.'),
      ),
      apiKeySecretRef: Type.Optional(
        closed(
          { name: objectName('Name of the Secret.'), key: secretKey('Key of the Secret that holds the API key.') },
          { description: 'API key that is sent to the engines as `Authorization: Bearer`.' },
        ),
      ),
      forwardAuthorization: Type.Boolean({
        default: false,
        description: "Whether the client's `Authorization` header goes to the engines. It stays here otherwise.",
      }),
    },
    { default: {}, description: 'How the router speaks to the engines.' },
  ),
  [
    {
      cel: "self.scheme == 'https' || !has(self.caSecretRef)",
      message: 'goes with scheme https only',
      cure: 'write `scheme: https`, or remove `caSecretRef`',
      field: 'caSecretRef',
      check: ({ scheme, caSecretRef }) => scheme === 'https' || caSecretRef === undefined,
    },
    {
      cel: "self.scheme == 'https' || !has(self.serverName)",
      message: 'goes with scheme https only',
      cure: 'write `scheme: https`, or remove `serverName`',
      field: 'serverName',
      check: ({ scheme, serverName }) => scheme === 'https' || serverName === undefined,
    },
    {
      cel: '!self.forwardAuthorization || !has(self.apiKeySecretRef)',
      message: 'cannot stand beside `apiKeySecretRef`: a request has one Authorization header',
      cure: 'remove `apiKeySecretRef` or `forwardAuthorization`',
      field: 'forwardAuthorization',
      check: ({ forwardAuthorization, apiKeySecretRef }) => !forwardAuthorization || apiKeySecretRef === undefined,
    },
  ],
);

export type Connection = Static<typeof connection>;
