import type { SchemaNode } from './schema-node.ts';
import { backendGroup } from './backend-group.ts';
import { backendGroupStatus } from './backend-group-status.ts';
import { routingPolicy } from './routing-policy.ts';
import { routingPolicyStatus } from './routing-policy-status.ts';

/** A column of `kubectl get`: one raw field. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  readonly jsonPath: string;
  readonly description: string;
}

/** What a CRD says besides its schema. */
export interface Kind {
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortName: string;
  /** As people write it; status stands apart. */
  readonly schema: SchemaNode;
  readonly status: SchemaNode;
  readonly columns: readonly PrinterColumn[];
}

const column = (name: string, jsonPath: string, description: string): PrinterColumn => ({
  name,
  type: 'string',
  jsonPath,
  description,
});
const count = (name: string, jsonPath: string, description: string): PrinterColumn => ({
  name,
  type: 'integer',
  jsonPath,
  description,
});
const age: PrinterColumn = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'Age of the object',
};

/** Every kind of the group. */
export const kinds: readonly Kind[] = [
  {
    kind: 'BackendGroup',
    plural: 'backendgroups',
    singular: 'backendgroup',
    shortName: 'bg',
    schema: backendGroup,
    status: backendGroupStatus,
    columns: [
      column('Models', '.status.summary.models', 'Models of the group'),
      column('Engine', '.spec.engine', 'What the engines are'),
      column('Topology', '.status.summary.topology', 'How the engines share a request'),
      count('Ready', '.status.endpoints.ready', 'Endpoints that take requests'),
      count('Total', '.status.endpoints.total', 'Endpoints found'),
      count('KVCache', '.status.summary.kvCachePercent', 'Mean use of the KV caches, in percent'),
      age,
    ],
  },
  {
    kind: 'RoutingPolicy',
    plural: 'routingpolicies',
    singular: 'routingpolicy',
    shortName: 'rp',
    schema: routingPolicy,
    status: routingPolicyStatus,
    columns: [
      column('Strategy', '.spec.strategy.type', 'How an endpoint is chosen'),
      column('Backends', '.status.summary.backends', 'Backends and their shares'),
      column(
        'Programmed',
        '.status.conditions[?(@.type=="Programmed")].status',
        'Whether every replica runs this generation',
      ),
      column('Req/s', '.status.summary.requestsPerSecond', 'Requests a second'),
      column('Hit', '.status.summary.hit', 'Prompt tokens found in KV caches'),
      column('TTFT-P90', '.status.summary.ttftP90', 'Time to the first token, 90th percentile'),
      age,
    ],
  },
];

/** The kind's name in paths of the API server. Throws RangeError for a kind that is not of the group. */
export function pluralOf(kind: string): string {
  const found = kinds.find((one) => one.kind === kind);
  if (found === undefined) throw new RangeError(`the group has no kind ${kind}`);
  return found.plural;
}
