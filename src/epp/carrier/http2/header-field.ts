/** What a field is to a request; found out once, when the field is made, and kept with it in the table. */
export const Role = {
  ordinary: 0,
  method: 1,
  scheme: 2,
  path: 3,
  authority: 4,
  contentType: 5,
  contentLength: 6,
  /** Nothing that a request may carry (RFC 9113, section 8.2). */
  malformed: 7,
  /** Of W3C Trace Context. */
  traceparent: 8,
  tracestate: 9,
} as const;

/** What a field takes of a table besides its text (RFC 7541, section 4.1). */
const overhead = 32;

/** One line of a header. The text is the bytes as Latin-1. */
export class HeaderField {
  readonly name: string;
  readonly value: string;
  /** As tables and limits count it. */
  readonly size: number;
  readonly role: number;

  constructor(name: string, value: string) {
    this.name = name;
    this.value = value;
    this.size = name.length + value.length + overhead;
    this.role = roleOf(name, value);
  }
}

const roles = new Map<string, number>([
  [':method', Role.method],
  [':scheme', Role.scheme],
  [':path', Role.path],
  [':authority', Role.authority],
  ['content-type', Role.contentType],
  ['content-length', Role.contentLength],
  ['traceparent', Role.traceparent],
  ['tracestate', Role.tracestate],
]);
/** Of HTTP/1.1's connections; here they would be a way to smuggle. */
const forbidden = new Set(['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade']);
/** Lower-case tokens. */
const token = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** Neither control characters nor white space around it. */
// eslint-disable-next-line no-control-regex
const text = /^(?![ \t])[^\0-\x08\x0a-\x1f\x7f]*(?<![ \t])$/;

function roleOf(name: string, value: string): number {
  if (!text.test(value)) return Role.malformed;
  const role = roles.get(name);
  if (role !== undefined) return role === Role.contentLength && !/^\d{1,15}$/.test(value) ? Role.malformed : role;
  if (!token.test(name) || forbidden.has(name)) return Role.malformed;
  if (name === 'te' && value !== 'trailers') return Role.malformed;
  return Role.ordinary;
}
