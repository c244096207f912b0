import { RoutingError } from '../router/errors.ts';
import { topLevelMembers } from './members.ts';

/** A request's body: the bytes as they came, and what the router reads of them. */
export interface Payload {
  readonly bytes: Buffer;
  /** The parsed object. Its strings hold bytes (latin1) unless `utf8`: good for hashing, never to be shown. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly utf8: boolean;
  /** Empty where the client named none. */
  readonly model: string;
  readonly stream: boolean;
  readonly user: string;
}

// Bytes to look for, made once: a text would be encoded anew for each body.
const escape = Buffer.from('\\u');
const asciiEscape = Buffer.from('\\u00');
const modelKey = Buffer.from('"model"');

const invalid = (message: string, param?: string): RoutingError =>
  new RoutingError('invalid_value', message, param === undefined ? { source: 'client' } : { source: 'client', param });

/** Parses and checks a body. Throws RoutingError for what no engine should see. */
export function parsePayload(bytes: Buffer): Payload {
  // Parsing a latin1 view is three times faster than decoding UTF-8 first and exact for ASCII. Escapes name
  // characters, not bytes, so a body that has any is decoded: both spellings of a text must hash alike.
  const utf8 = bytes.includes(escape);
  const body = parseObject(bytes, utf8);
  if (Object.hasOwn(body, 'kv_transfer_params')) {
    throw invalid('kv_transfer_params is set by the router, never by a client; leave it out', 'kv_transfer_params');
  }
  refuseRepeatedModel(bytes, utf8);
  const text = (value: string): string => (utf8 ? value : decode(value));
  return {
    bytes,
    body,
    utf8,
    model: text(stringField(body, 'model')),
    stream: streamField(body),
    user: typeof body.user === 'string' ? text(body.user) : '',
  };
}

function parseObject(bytes: Buffer, utf8: boolean): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(utf8 ? bytes.toString('utf8') : bytes.toString('latin1'));
  } catch {
    // The parser's message quotes the body, which must not be shown or logged.
    throw new RoutingError('invalid_json', 'the body is not valid JSON', { source: 'client' });
  }
  if (!isObject(value)) {
    throw new RoutingError('invalid_json', 'the body must be a JSON object', { source: 'client' });
  }
  const body = utf8 && bytes.includes(asciiEscape) ? withTrueKeys(bytes, value) : value;
  if (body.messages !== undefined && !Array.isArray(body.messages))
    throw invalid('messages must be an array', 'messages');
  return body;
}

/**
 * An object whose escaped keys are read one by one: V8 takes such a key for another one that it has seen before and
 * that begins with the same bytes (nodejs/node#63785), so that a client could hide a member from the checks here and
 * show it to an engine. The names that matter are ASCII, whose escapes begin with \u00.
 */
function withTrueKeys(bytes: Buffer, parsed: Record<string, unknown>): Record<string, unknown> {
  const members = topLevelMembers(bytes);
  if (!members.some(({ escaped }) => escaped)) return parsed;
  return Object.fromEntries(
    members.map(({ name, start, end }): [string, unknown] => [name, JSON.parse(bytes.toString('utf8', start, end))]),
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function stringField(body: Readonly<Record<string, unknown>>, name: string): string {
  const value = body[name];
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw invalid(`${name} must be a string`, name);
  return value;
}

function streamField(body: Readonly<Record<string, unknown>>): boolean {
  const { stream } = body;
  if (stream === undefined || stream === null) return false;
  if (typeof stream !== 'boolean') throw invalid('stream must be true or false', 'stream');
  return stream;
}

/** Two readers could take different ones of two equal keys, and route one model but run the other. */
function refuseRepeatedModel(bytes: Buffer, utf8: boolean): void {
  // One spelling of the key and no escapes: it cannot be there twice.
  const first = bytes.indexOf(modelKey);
  const maybeTwice = first >= 0 && bytes.indexOf(modelKey, first + modelKey.length) >= 0;
  if (!maybeTwice && !(utf8 && bytes.includes(asciiEscape))) return;
  if (topLevelMembers(bytes).filter(({ name }) => name === 'model').length > 1)
    throw invalid('the key model appears twice', 'model');
}

/** A latin1 view of UTF-8 bytes as text. */
export function decode(view: string): string {
  for (let i = 0; i < view.length; i++) {
    if (view.charCodeAt(i) > 0x7f) return Buffer.from(view, 'latin1').toString('utf8');
  }
  return view;
}
