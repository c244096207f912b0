import type { HeaderChange, Immediate, SetHeader } from './response.ts';
import { Writer } from './writer.ts';

/** Fields of `ProcessingResponse`; those of its oneof that carry no body. */
const Answer = { requestHeaders: 1, responseHeaders: 2, immediate: 7, dynamicMetadata: 8 } as const;
const overwriteIfExistsOrAdd = 2;

const writer = new Writer();

/** What changes nothing: `ProcessingResponse`s of one and the same bytes, made once. */
export const responseHeadersUnchanged: Uint8Array = Uint8Array.of(0x12, 0);
export const requestTrailersUnchanged: Uint8Array = Uint8Array.of(0x2a, 0);
export const responseTrailersUnchanged: Uint8Array = Uint8Array.of(0x32, 0);

/** The answer to request headers. */
export function encodeRequestHeaders(change: HeaderChange): Uint8Array {
  return encodeHeaders(Answer.requestHeaders, change);
}

/** The answer to response headers; `responseHeadersUnchanged` is one that changes nothing. */
export function encodeResponseHeaders(change: HeaderChange): Uint8Array {
  return encodeHeaders(Answer.responseHeaders, change);
}

/** An answer of our own; Envoy sends it to the client and asks no more. */
export function encodeImmediate(immediate: Immediate): Uint8Array {
  if (immediate.details !== '') writer.text(5, immediate.details, 'utf8');
  if (immediate.body !== '') writer.text(3, immediate.body, 'utf8');
  putMutation(2, immediate.headers, none);
  const status = writer.length;
  writer.varint(1, immediate.status);
  writer.wrap(1, status);
  writer.wrap(Answer.immediate, 0);
  return writer.finish();
}

const none: readonly string[] = Object.freeze([]);

/** `HeadersResponse { CommonResponse { header_mutation, clear_route_cache } }` and the dynamic metadata beside it. */
function encodeHeaders(field: number, change: HeaderChange): Uint8Array {
  if (change.destination !== null) putDestination(change.destination);
  const start = writer.length;
  if (change.clearRouteCache) writer.varint(5, 1);
  putMutation(2, change.set, change.remove);
  writer.wrap(1, start);
  writer.wrap(field, start);
  return writer.finish();
}

/** `HeaderMutation`, where it changes anything. */
function putMutation(field: number, set: readonly SetHeader[], remove: readonly string[]): void {
  if (set.length === 0 && remove.length === 0) return;
  const start = writer.length;
  for (let index = remove.length - 1; index >= 0; index -= 1) writer.text(2, remove[index] ?? '', 'latin1');
  for (let index = set.length - 1; index >= 0; index -= 1) {
    const header = set[index];
    if (header !== undefined) putHeader(header);
  }
  writer.wrap(field, start);
}

/** `HeaderValueOption { header { key, raw_value }, append_action }`. */
function putHeader(header: SetHeader): void {
  const option = writer.length;
  writer.varint(3, overwriteIfExistsOrAdd);
  const line = writer.length;
  writer.text(3, header.value, 'latin1');
  writer.text(1, header.name, 'latin1');
  writer.wrap(1, line);
  writer.wrap(1, option);
}

/** The `Struct` {"envoy.lb": {"x-gateway-destination-endpoint": destination}}. */
function putDestination(destination: string): void {
  const start = writer.length;
  writer.text(3, destination, 'utf8');
  writer.wrap(2, start);
  writer.text(1, 'x-gateway-destination-endpoint', 'latin1');
  writer.wrap(1, start);
  writer.wrap(5, start);
  writer.wrap(2, start);
  writer.text(1, 'envoy.lb', 'latin1');
  writer.wrap(1, start);
  writer.wrap(Answer.dynamicMetadata, start);
}
