// Envoy's side of the protocol: what it sends, and how it reads what we send. Tests and the benchmark speak with it.
// It shares no code with the codec, so that neither hides the other's faults.
import { Phase } from './request.ts';

export type MetadataValue = string | number | boolean | null | readonly MetadataValue[] | MetadataFields;
export interface MetadataFields {
  readonly [key: string]: MetadataValue;
}

export interface PeerRequest {
  readonly phase: (typeof Phase)[keyof typeof Phase];
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** Values as text, as old Envoys send them, instead of bytes. */
  readonly textValues?: boolean;
  readonly body?: Uint8Array;
  readonly endOfStream?: boolean;
  /** `filter_metadata`: namespace → fields. */
  readonly metadata?: Readonly<Record<string, MetadataFields>>;
}

export interface PeerHeader {
  readonly name: string;
  readonly value: string;
  /** `append_action`; 2 is OVERWRITE_IF_EXISTS_OR_ADD. */
  readonly action: number;
}

const kinds = [
  '',
  'requestHeaders',
  'responseHeaders',
  'requestBody',
  'responseBody',
  'requestTrailers',
  'responseTrailers',
  'immediate',
] as const;

export interface PeerResponse {
  readonly kind: (typeof kinds)[number];
  readonly set: readonly PeerHeader[];
  readonly remove: readonly string[];
  readonly clearRouteCache: boolean;
  /** Of a StreamedBodyResponse, or of an immediate response. */
  readonly body: Buffer;
  readonly endOfStream: boolean;
  /** Of an immediate response; 0 otherwise. */
  readonly status: number;
  readonly details: string;
  readonly dynamicMetadata: MetadataFields | null;
}

/** A varint. */
export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}

/** A field that holds a message, a string or bytes. */
export function field(number: number, ...value: readonly (Uint8Array | string)[]): Buffer {
  const bytes = Buffer.concat(value.map((part) => Buffer.from(part)));
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

/** A field that holds a number or a bool. */
export function numberField(number: number, value: number): Buffer {
  return Buffer.concat([varint(number * 8), varint(value)]);
}

export function encodeRequest(request: PeerRequest): Buffer {
  const isBody = request.phase === Phase.requestBody || request.phase === Phase.responseBody;
  const content = isBody ? [field(1, request.body ?? '')] : [headerMap(request)];
  if (request.endOfStream === true) content.push(numberField(isBody ? 2 : 3, 1));
  const message = field(request.phase, ...content);
  const spaces = Object.entries(request.metadata ?? {});
  if (spaces.length === 0) return message;
  const metadata = spaces.map(([name, fields]) => field(1, field(1, name), field(2, struct(fields))));
  return Buffer.concat([message, field(8, ...metadata)]);
}

function headerMap(request: PeerRequest): Buffer {
  const lines = (request.headers ?? []).map(([name, value]) =>
    field(1, field(1, name), request.textValues === true ? field(2, value) : field(3, Buffer.from(value, 'latin1'))),
  );
  return field(1, ...lines);
}

function struct(fields: MetadataFields): Buffer {
  return Buffer.concat(Object.entries(fields).map(([key, value]) => field(1, field(1, key), field(2, encoded(value)))));
}

function encoded(value: MetadataValue): Buffer {
  if (value === null) return numberField(1, 0);
  if (typeof value === 'string') return field(3, value);
  if (typeof value === 'boolean') return numberField(4, value ? 1 : 0);
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    return Buffer.concat([varint(2 * 8 + 1), bytes]);
  }
  if (isList(value)) return field(6, ...value.map((element) => field(1, encoded(element))));
  return field(5, struct(value));
}

function isList(value: MetadataValue): value is readonly MetadataValue[] {
  return Array.isArray(value);
}

/** Fields of a message by number: bytes, or a number. */
type Fields = Map<number, (Buffer | number)[]>;

function fieldsOf(bytes: Buffer): Fields {
  const fields: Fields = new Map();
  let at = 0;
  const number = (): number => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes.readUInt8(at++);
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(value);
    }
  };
  while (at < bytes.length) {
    const tag = number();
    let value: Buffer | number;
    if ((tag & 7) === 0) value = number();
    else if ((tag & 7) === 1) value = bytes.readDoubleLE((at += 8) - 8);
    else if ((tag & 7) === 2) {
      const length = number();
      if (length > bytes.length - at) throw new Error('a field is cut off');
      value = bytes.subarray(at, (at += length));
    } else throw new Error(`wire type ${tag & 7}`);
    fields.set(tag >>> 3, [...(fields.get(tag >>> 3) ?? []), value]);
  }
  return fields;
}

function bytesAt(fields: Fields, number: number): Buffer {
  const value = fields.get(number)?.at(-1);
  return value instanceof Buffer ? value : Buffer.alloc(0);
}

function numberAt(fields: Fields, number: number): number {
  const value = fields.get(number)?.at(-1);
  return typeof value === 'number' ? value : 0;
}

function allAt(fields: Fields, number: number): Buffer[] {
  return (fields.get(number) ?? []).flatMap((value) => (typeof value === 'number' ? [] : [value]));
}

/** Reads a ProcessingResponse. */
export function decodeResponse(message: Buffer): PeerResponse {
  const fields = fieldsOf(message);
  const members = [...fields.keys()].filter((number) => number <= 7);
  const number = members[0] ?? 0;
  if (members.length > 1) throw new Error(`members ${members.join()} of one oneof`);
  const kind = kinds[number] ?? '';
  const content = fieldsOf(bytesAt(fields, number));
  const metadata = fields.has(8) ? readStruct(bytesAt(fields, 8)) : null;
  const rest = { kind, dynamicMetadata: metadata };
  if (kind === 'immediate') {
    const status = numberAt(fieldsOf(bytesAt(content, 1)), 1);
    const details = bytesAt(content, 5).toString();
    return { ...empty, ...rest, ...mutation(bytesAt(content, 2)), status, details, body: bytesAt(content, 3) };
  }
  if (number === 5 || number === 6) return { ...empty, ...rest, ...mutation(bytesAt(content, 1)) };
  const common = fieldsOf(bytesAt(content, 1));
  const streamed = fieldsOf(bytesAt(fieldsOf(bytesAt(common, 3)), 3));
  return {
    ...empty,
    ...rest,
    ...mutation(bytesAt(common, 2)),
    clearRouteCache: numberAt(common, 5) === 1,
    body: bytesAt(streamed, 1),
    endOfStream: numberAt(streamed, 2) === 1,
  };
}

const empty: PeerResponse = {
  kind: '',
  set: [],
  remove: [],
  clearRouteCache: false,
  body: Buffer.alloc(0),
  endOfStream: false,
  status: 0,
  details: '',
  dynamicMetadata: null,
};

function mutation(bytes: Buffer): { set: PeerHeader[]; remove: string[] } {
  const fields = fieldsOf(bytes);
  const set = allAt(fields, 1).map((option) => {
    const parts = fieldsOf(option);
    const header = fieldsOf(bytesAt(parts, 1));
    return {
      name: bytesAt(header, 1).toString(),
      value: bytesAt(header, 3).toString('latin1'),
      action: numberAt(parts, 3),
    };
  });
  return { set, remove: allAt(fields, 2).map((name) => name.toString()) };
}

function readStruct(bytes: Buffer): MetadataFields {
  const entries = allAt(fieldsOf(bytes), 1).map((entry): [string, MetadataValue] => {
    const parts = fieldsOf(entry);
    return [bytesAt(parts, 1).toString(), readValue(bytesAt(parts, 2))];
  });
  return Object.fromEntries(entries);
}

function readValue(bytes: Buffer): MetadataValue {
  const fields = fieldsOf(bytes);
  if (fields.has(2)) return numberAt(fields, 2);
  if (fields.has(3)) return bytesAt(fields, 3).toString();
  if (fields.has(4)) return numberAt(fields, 4) === 1;
  if (fields.has(5)) return readStruct(bytesAt(fields, 5));
  if (fields.has(6)) return allAt(fieldsOf(bytesAt(fields, 6)), 1).map(readValue);
  return null;
}
