import { putVarint, varintBytes } from './writer.ts';

/** Which body a piece belongs to: the fields of `ProcessingResponse`. */
export const Body = { request: 3, response: 4 } as const;

/** Bytes of a body in one message at most: what the picker's protocol lays down. */
export const pieceBytes = 62_000;

/** Whatever takes encoded messages, such as a call. */
export interface MessageSink {
  send(message: Uint8Array): boolean;
}

/**
 * Sends (a piece of) a body in messages of at most `pieceBytes`; at least one, which may be empty. The last one ends the
 * stream if `endOfStream`. The bytes are copied. False when more is buffered than the peer takes.
 */
export function sendBody(sink: MessageSink, which: number, body: Uint8Array, endOfStream: boolean): boolean {
  let from = 0;
  while (body.length - from > pieceBytes) {
    sink.send(encodePiece(which, body.subarray(from, from + pieceBytes), false));
    from += pieceBytes;
  }
  return sink.send(encodePiece(which, from === 0 ? body : body.subarray(from), endOfStream));
}

/**
 * `ProcessingResponse { BodyResponse { CommonResponse { BodyMutation { StreamedBodyResponse { body, end_of_stream }}}}}`:
 * five messages within each other, measured from the inside out, since writing from the end would copy the body twice.
 */
export function encodePiece(which: number, piece: Uint8Array, endOfStream: boolean): Uint8Array {
  const streamed = (piece.length > 0 ? 1 + varintBytes(piece.length) + piece.length : 0) + (endOfStream ? 2 : 0);
  const mutation = 1 + varintBytes(streamed) + streamed;
  const common = 1 + varintBytes(mutation) + mutation;
  const response = 1 + varintBytes(common) + common;
  const message = Buffer.allocUnsafe(1 + varintBytes(response) + response);
  let at = open(message, 0, which, response);
  at = open(message, at, 1, common);
  at = open(message, at, 3, mutation);
  at = open(message, at, 3, streamed);
  if (piece.length > 0) {
    at = open(message, at, 1, piece.length);
    message.set(piece, at);
    at += piece.length;
  }
  if (endOfStream) {
    message[at] = 0x10;
    message[at + 1] = 1;
  }
  return message;
}

/** Writes the tag and the length of a value that follows. */
function open(message: Buffer, at: number, field: number, length: number): number {
  message[at] = (field << 3) | 2;
  return putVarint(message, at + 1, length);
}
