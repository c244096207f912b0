import type { ServerHttp2Stream } from 'node:http2';

/** Options of a response that is its trailers, which then stand among its headers. */
export const trailersOnly = Object.freeze({ endStream: true, sendDate: false });

/** Answers a stream that is no call with a status of gRPC, or of HTTP where the peer does not speak gRPC. */
export function refuse(
  stream: ServerHttp2Stream,
  headers: { ':status': number; [name: string]: string | number },
): void {
  stream.on('error', () => undefined);
  stream.respond(headers, trailersOnly);
  // What the peer still says is read by nobody.
  stream.resume();
  if (!stream.endAfterHeaders) setImmediate(close, stream);
}

/** Resets a stream without an error. What was to be sent and has not been by then is lost. */
export function close(stream: ServerHttp2Stream): void {
  stream.close();
}

/** The form of `grpc-message`: UTF-8 with all but printable ASCII as %XX. */
export function percentEncoded(text: string): string {
  if (/^[ -$&-~]*$/.test(text)) return text;
  let encoded = '';
  for (const byte of Buffer.from(text)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}
