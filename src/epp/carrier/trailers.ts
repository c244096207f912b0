import { encodeBlock } from './http2/hpack-encoder.ts';
import { GrpcStatus } from './carrier.ts';

const grpcHeaders = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
] as const;

/** Header blocks that are sent often, made once. */
export const responseHeaders = encodeBlock(grpcHeaders);
const okTrailers = encodeBlock(statusFields(GrpcStatus.ok, ''));
export const methodNotAllowed = encodeBlock([[':status', '405']]);
export const unsupportedMediaType = encodeBlock([[':status', '415']]);
export const unknownMethod = trailersOnly(GrpcStatus.unimplemented, 'unknown method');

/** The trailers of a call that has been answered. */
export function trailers(status: number, message: string): Uint8Array {
  if (status === GrpcStatus.ok && message === '') return okTrailers;
  return encodeBlock(statusFields(status, message));
}

/** The header block of an answer that is its trailers. */
export function trailersOnly(status: number, message: string): Uint8Array {
  return encodeBlock([...grpcHeaders, ...statusFields(status, message)]);
}

function statusFields(status: number, message: string): [string, string][] {
  const fields: [string, string][] = [['grpc-status', String(status)]];
  if (message !== '') fields.push(['grpc-message', percentEncoded(message)]);
  return fields;
}

/** The form of `grpc-message`: UTF-8 with all but printable ASCII as %XX. */
function percentEncoded(text: string): string {
  if (/^[ -$&-~]*$/.test(text)) return text;
  let encoded = '';
  for (const byte of Buffer.from(text)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}
