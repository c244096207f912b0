import { Fields, Message } from './protobuf.ts';

/** The messages of `envoy.service.ext_proc.v3` as Envoy writes and reads them, with field numbers of its .proto files. */

export type Headers = Readonly<Record<string, string>>;
/** A value of a google.protobuf.Struct. */
export type Value = string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value };
/** Filter metadata by namespace. */
export type Metadata = Readonly<Record<string, { readonly [key: string]: Value }>>;

export interface Context {
  readonly metadata?: Metadata;
  /** Envoy sends values as `raw_value`; older ones, and other proxies, as `value`. */
  readonly plainValues?: boolean;
}

const phases = {
  requestHeaders: 2,
  responseHeaders: 3,
  requestBody: 4,
  responseBody: 5,
  requestTrailers: 6,
  responseTrailers: 7,
};

export function headersMessage(
  phase: 'requestHeaders' | 'responseHeaders',
  headers: Headers,
  endOfStream: boolean,
  context: Context = {},
): Buffer {
  const inner = new Message().message(1, headerMap(headers, context)).number(3, endOfStream);
  return request(phases[phase], inner, context);
}

export function bodyMessage(
  phase: 'requestBody' | 'responseBody',
  body: Buffer,
  endOfStream: boolean,
  context: Context = {},
): Buffer {
  const inner = new Message();
  if (body.length > 0) inner.bytes(1, body);
  return request(phases[phase], inner.number(2, endOfStream), context);
}

export function trailersMessage(
  phase: 'requestTrailers' | 'responseTrailers',
  trailers: Headers,
  context: Context = {},
): Buffer {
  return request(phases[phase], new Message().message(1, headerMap(trailers, context)), context);
}

function request(field: number, inner: Message, { metadata }: Context): Buffer {
  const message = new Message().message(field, inner);
  if (metadata !== undefined) {
    const context = new Message();
    for (const [namespace, struct] of Object.entries(metadata)) context.message(1, entry(namespace, structOf(struct)));
    message.message(8, context);
  }
  // Attributes and the protocol's configuration, which Envoy sends with its first message, are not for a picker.
  return message.message(11, new Message().number(1, 4)).finish();
}

function headerMap(headers: Headers, { plainValues }: Context): Message {
  const map = new Message();
  for (const [name, value] of Object.entries(headers))
    map.message(1, new Message().bytes(1, name).bytes(plainValues === true ? 2 : 3, Buffer.from(value, 'latin1')));
  return map;
}

function entry(key: string, value: Message): Message {
  return new Message().bytes(1, key).message(2, value);
}

function structOf(struct: { readonly [key: string]: Value }): Message {
  const message = new Message();
  for (const [key, value] of Object.entries(struct)) message.message(1, entry(key, valueOf(value)));
  return message;
}

function valueOf(value: Value): Message {
  const message = new Message();
  if (value === null) return message.bytes(1, '');
  if (typeof value === 'number') return message.double(2, value);
  if (typeof value === 'string') return message.bytes(3, value);
  if (typeof value === 'boolean') return message.number(4, value);
  if (isList(value)) {
    const list = new Message();
    for (const item of value) list.message(1, valueOf(item));
    return message.message(6, list);
  }
  return message.message(5, structOf(value));
}

function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

const answers = [
  '',
  'requestHeaders',
  'responseHeaders',
  'requestBody',
  'responseBody',
  'requestTrailers',
  'responseTrailers',
  'immediate',
] as const;

/** What a picker answers. */
export interface Answer {
  readonly kind: (typeof answers)[number];
  readonly set: readonly SetHeader[];
  readonly remove: readonly string[];
  readonly clearRouteCache: boolean;
  /** Of a body's answer: a piece of the body that goes on; null where there is none. */
  readonly piece: Buffer | null;
  /** Whether that piece is the last. */
  readonly endOfStream: boolean;
  /** Whether the body is changed in a way that FULL_DUPLEX_STREAMED does not allow. */
  readonly wrongMutation: boolean;
  /** Dynamic metadata; null where there is none. */
  readonly metadata: unknown;
  readonly immediate: Immediate | null;
}

export interface SetHeader {
  readonly name: string;
  readonly value: string;
  /** Whether it goes as `raw_value`. */
  readonly raw: boolean;
  /** Whether it is put beside what is there and does not replace it. */
  readonly appends: boolean;
}

export interface Immediate {
  readonly status: number;
  readonly body: string;
  readonly details: string;
}

/** Reads a ProcessingResponse; throws a RangeError where the bytes are none. */
export function readAnswer(bytes: Buffer): Answer {
  const message = new Fields(bytes);
  const field = message.numbers.find((number) => number >= 1 && number <= 7) ?? 0;
  const kind = answers[field];
  const inner = message.message(field) ?? new Fields(Buffer.alloc(0));
  const common = kind.endsWith('Trailers') || kind === 'immediate' ? null : inner.message(1);
  const mutation = kind.endsWith('Trailers')
    ? inner.message(1)
    : kind === 'immediate'
      ? inner.message(2)
      : common?.message(2);
  const body = common?.message(3) ?? null;
  const streamed = body?.message(3) ?? null;
  const metadata = message.message(8);
  return {
    kind,
    set: (mutation?.all(1) ?? []).map((option) => setHeader(new Fields(option))),
    remove: (mutation?.all(2) ?? []).map((name) => name.toString()),
    clearRouteCache: common?.number(5) === 1,
    piece: streamed === null ? null : (streamed.bytes(1) ?? Buffer.alloc(0)),
    endOfStream: streamed?.number(2) === 1,
    wrongMutation: body !== null && streamed === null,
    metadata: metadata === null ? null : structIn(metadata),
    immediate: kind === 'immediate' ? immediateIn(inner) : null,
  };
}

function setHeader(option: Fields): SetHeader {
  const header = option.message(1) ?? new Fields(Buffer.alloc(0));
  const raw = header.bytes(3);
  // `append`, where it is given, beats `append_action`; ext_proc takes neither as: replace.
  const append = option.message(2);
  const appends = append === null ? option.number(3) === 1 : append.number(1) === 1;
  return { name: header.text(1), value: raw?.toString('latin1') ?? header.text(2), raw: raw !== null, appends };
}

function immediateIn(inner: Fields): Immediate {
  return { status: inner.message(1)?.number(1) ?? 0, body: inner.text(3), details: inner.text(5) };
}

function structIn(struct: Fields): Record<string, unknown> {
  return Object.fromEntries(
    struct.all(1).map((bytes) => {
      const pair = new Fields(bytes);
      return [pair.text(1), valueIn(pair.message(2) ?? new Fields(Buffer.alloc(0)))];
    }),
  );
}

function valueIn(value: Fields): unknown {
  switch (value.numbers[0]) {
    case 2:
      return value.number(2);
    case 3:
      return value.text(3);
    case 4:
      return value.number(4) === 1;
    case 5:
      return structIn(value.message(5) ?? new Fields(Buffer.alloc(0)));
    case 6:
      return (value.message(6)?.all(1) ?? []).map((item) => valueIn(new Fields(item)));
    default:
      return null;
  }
}
