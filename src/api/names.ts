import { Type } from 'typebox';
import type { TStringOptions } from 'typebox';

const label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
// 1..65535 without leading zeros: patterns are checked by the API server without CEL cost.
const portNumber = '([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])';
const host = '([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\\[[0-9A-Fa-f:.]+\\])';

const text = (description: string, options: TStringOptions) => Type.String({ minLength: 1, ...options, description });

/** The name of an object of Kubernetes: an RFC 1123 subdomain. */
export const objectName = (description: string) =>
  text(description, {
    maxLength: 253,
    pattern: `^${label}(\\.${label})*$`,
    'x-words': 'a name of lower-case letters, digits, `-` and `.`, at most 253 characters',
  });

/** An RFC 1123 label, such as a namespace or a router class. */
export const labelName = (description: string, options: { maxLength: number; default?: string }) =>
  text(description, {
    ...options,
    pattern: `^${label}$`,
    'x-words': `a name of lower-case letters, digits and \`-\`, at most ${options.maxLength} characters`,
  });

/** A full model name, as requests carry it. */
export const modelName = (description: string) =>
  text(description, {
    maxLength: 253,
    pattern: '^[^*\\x00-\\x1f\\x7f]+$',
    'x-words': 'a model name without `*` and control characters, at most 253 characters',
  });

/** A model name, or a prefix that ends in `*`. */
export const modelPattern = (description: string) =>
  text(description, {
    maxLength: 253,
    pattern: '^[^*\\x00-\\x1f\\x7f]*\\*?$',
    'x-words': 'a model name or a prefix with one trailing `*`, at most 253 characters',
  });

/** The name of an HTTP header: a token of RFC 9110. */
export const headerName = (description: string) =>
  text(description, {
    maxLength: 128,
    pattern: "^[A-Za-z0-9!#$%&'*+.^_|~`-]+$",
    'x-words': 'a header name of letters, digits and `-`',
  });

/** The value of an HTTP header, compared byte by byte. */
export const headerValue = (description: string) =>
  text(description, {
    maxLength: 1024,
    pattern: '^[\\x21-\\x7e]([\\x20-\\x7e]*[\\x21-\\x7e])?$',
    'x-words': 'printable ASCII text of 1 to 1024 characters without blanks at its ends',
  });

/** The path of a URL, without query. */
export const urlPath = (description: string, value: string) =>
  text(description, {
    maxLength: 1024,
    pattern: '^/[^\\x00-\\x20\\x7f?#]*$',
    default: value,
    'x-words': 'a path that starts with `/` and has no blanks, `?` or `#`',
  });

/** Where an engine listens: `host:port` or `[v6]:port`. */
export const address = (description: string) =>
  text(description, {
    maxLength: 261,
    pattern: `^${host}:${portNumber}$`,
    'x-words': 'an address like 10.0.0.1:8000, engine.example:8000 or [fd00::1]:8000',
  });

/** Scheme, host and port of a server, without a path. */
export const origin = (description: string) =>
  text(description, {
    maxLength: 270,
    pattern: `^https?://${host}(:${portNumber})?$`,
    'x-words': 'a URL of scheme, host and port, like http://10.96.0.1:8080',
  });

/** A host name for TLS. */
export const hostName = (description: string) =>
  text(description, {
    maxLength: 253,
    pattern: '^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$',
    'x-words': 'a host name like engine.example',
  });

/** A key of a Secret. */
export const secretKey = (description: string) =>
  text(description, {
    maxLength: 253,
    pattern: '^[-._a-zA-Z0-9]+$',
    'x-words': 'a key of letters, digits, `-`, `_` and `.`',
  });

export const port = (description: string, options: { default?: number } = {}) =>
  Type.Integer({ minimum: 1, maximum: 65535, ...options, description });
