import { openSync, closeSync, fstatSync, readSync, statSync } from 'node:fs';

/** A request that the API server has answered, or a watch that it has begun to answer. */
export interface AuditedRequest {
  verb: string;
  /** As in RBAC: `routingpolicies`, `routingpolicies/status`; the path for what is no resource. */
  resource: string;
  namespace: string;
  name: string;
  /** `system:serviceaccount:NAMESPACE:NAME`, or a user's name. */
  user: string;
  userAgent: string;
  /** HTTP status of the answer. */
  code: number;
  /** When it came, milliseconds since 1970. */
  at: number;
}

/** Which requests are meant; what is left out is anything. */
export interface RequestFilter {
  user?: string;
  userAgent?: RegExp;
  verb?: string;
  resource?: string;
  namespace?: string;
}

/** A place in the audit log: what comes after it is new. */
export type AuditMark = number & { readonly mark: 'audit' };

interface AuditEvent {
  auditID: string;
  verb: string;
  requestURI: string;
  user: { username: string };
  userAgent?: string;
  objectRef?: { resource?: string; subresource?: string; namespace?: string; name?: string };
  responseStatus?: { code?: number };
  requestReceivedTimestamp: string;
}

/** Where the log ends now. The API server writes a request's line before it answers, so none is missed. */
export function auditMark(path: string): AuditMark {
  return statSync(path).size as AuditMark;
}

/** Requests since a mark, each once: a watch writes two lines, at its first answer and at its end. */
export function requestsSince(path: string, mark: AuditMark, filter: RequestFilter): AuditedRequest[] {
  const requests = new Map<string, AuditedRequest>();
  for (const line of textFrom(path, mark).split('\n')) {
    // The last line may be in the making.
    if (!line.endsWith('}')) continue;
    const event = JSON.parse(line) as AuditEvent;
    const request = requestOf(event);
    if (matches(request, filter)) requests.set(event.auditID, request);
  }
  return [...requests.values()];
}

/** How many of each kind: `{'watch pods': 2, 'update routingpolicies/status': 5}`. */
export function countByKind(requests: readonly AuditedRequest[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { verb, resource } of requests) counts[`${verb} ${resource}`] = (counts[`${verb} ${resource}`] ?? 0) + 1;
  return counts;
}

function requestOf(event: AuditEvent): AuditedRequest {
  const { resource, subresource, namespace = '', name = '' } = event.objectRef ?? {};
  const kind = subresource === undefined ? resource : `${resource}/${subresource}`;
  return {
    verb: event.verb,
    resource: kind ?? event.requestURI,
    namespace,
    name,
    user: event.user.username,
    userAgent: event.userAgent ?? '',
    code: event.responseStatus?.code ?? 0,
    at: Date.parse(event.requestReceivedTimestamp),
  };
}

function matches(request: AuditedRequest, filter: RequestFilter): boolean {
  if (filter.userAgent !== undefined && !filter.userAgent.test(request.userAgent)) return false;
  const plain = ['user', 'verb', 'resource', 'namespace'] as const;
  return plain.every((field) => filter[field] === undefined || filter[field] === request[field]);
}

function textFrom(path: string, from: number): string {
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(Math.max(0, fstatSync(file).size - from));
    readSync(file, bytes, 0, bytes.length, from);
    return bytes.toString('utf8');
  } finally {
    closeSync(file);
  }
}
