import { Type } from 'typebox';
import type { Static } from 'typebox';
import { duration } from './duration.ts';
import { labelName, objectName, origin, port, secretKey, urlPath } from './names.ts';
import { prefixStore } from './prefix-store.ts';
import { closed, withRules } from './schema-node.ts';
import { union } from './union.ts';

const managerService = closed(
  {
    name: objectName('Name of the Service, in the namespace of the group.'),
    port: port('Its port.', { default: 8080 }),
  },
  { description: 'The Service of the KV manager.' },
);

const manager = withRules(
  closed(
    {
      service: Type.Optional(managerService),
      url: Type.Optional(
        origin('Scheme, host and port of the KV manager; in a cluster only with `--allow-external-targets`.'),
      ),
      path: urlPath('Path of the query.', '/match_sort'),
      timeout: duration('How long a request waits for the answer; then it is routed without.', '100ms'),
      tokenSecretRef: Type.Optional(
        closed(
          { name: objectName('Name of the Secret.'), key: secretKey('Key of the Secret that holds the token.') },
          { description: 'Token that is sent to the manager as `Authorization: Bearer`.' },
        ),
      ),
    },
    { description: 'A KV manager that is asked before each decision.' },
  ),
  [
    {
      cel: 'has(self.service) != has(self.url)',
      message: 'needs exactly one of `service` and `url`',
      cure: 'write either `service` or `url`',
      check: ({ service, url }) => (service === undefined) !== (url === undefined),
    },
  ],
);

const events = closed(
  {
    portName: labelName('Name of the port on which an engine publishes its KV events, over ZMQ.', {
      maxLength: 15,
      default: 'zmq-pub',
    }),
    replayPortName: labelName('Name of the port on which it sends lost events again; an engine may be without.', {
      maxLength: 15,
      default: 'zmq-replay',
    }),
    topic: Type.String({
      maxLength: 253,
      pattern: '^[!-~]*$',
      'x-words': 'visible ASCII characters',
      default: 'kv-events',
      description: 'What the topics of the events begin with; empty takes all.',
    }),
  },
  { description: 'How engines tell what their KV caches store and drop.' },
);

const local = closed(
  { name: objectName('Folder below `--tokenizers` that holds `tokenizer.json` and the chat template.') },
  { description: 'A tokenizer that is mounted into the router.' },
);

const tokenizer = union(
  'Who makes the tokens of a prompt, which the events speak of. Engine (the default): a ready engine of the group is ' +
    'asked. Local: a mounted tokenizer. Bytes: nobody; hits are guessed from what was sent, as Approximate does.',
  { Engine: null, Local: local, Bytes: null },
  undefined,
  { timeout: duration('How long a request waits for its tokens; then its hits are guessed likewise.', '20ms') },
);

/** How the router knows which engine holds which prefix in its KV cache. */
export const kvCache = withRules(
  union(
    'How the router knows what the KV caches hold. Events: the engines tell. Approximate: from what it has sent ' +
      'there itself. Manager: a KV manager is asked. None: not at all.',
    { Events: events, Approximate: null, Manager: manager, None: null },
    { type: 'Approximate' },
    { tokenizer: Type.Optional(tokenizer), prefixStore: Type.Optional(prefixStore) },
  ),
  [
    {
      cel: "self.type == 'Events' || !has(self.tokenizer)",
      message: 'goes with type Events only',
      cure: 'remove `tokenizer`, or write `type: Events`',
      field: 'tokenizer',
      check: (value) => value.type === 'Events' || value.tokenizer === undefined,
    },
    {
      cel: "self.type in ['Approximate', 'Events'] || !has(self.prefixStore)",
      message: 'goes with the types Approximate and Events only',
      cure: 'remove `prefixStore`, or write `type: Approximate`',
      field: 'prefixStore',
      check: ({ type, prefixStore }) => type === 'Approximate' || type === 'Events' || prefixStore === undefined,
    },
  ],
);

export type KVCache = Static<typeof kvCache>;
export type Manager = Static<typeof manager>;
export type Tokenizer = Static<typeof tokenizer>;
