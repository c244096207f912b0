import type { CallStream } from './carrier/carrier.ts';
import { Body, encodePiece, pieceBytes } from './wire/body.ts';
import { requestTrailersUnchanged } from './wire/encode.ts';

/** A request's body on its way to the engine: sent as the gateway takes it, then the trailers, where there are any. */
export class OutgoingBody {
  private readonly stream: CallStream;
  private readonly bytes: Buffer;
  private readonly hasTrailers: boolean;
  private sent = 0;

  constructor(stream: CallStream, bytes: Buffer, hasTrailers: boolean) {
    this.stream = stream;
    this.bytes = bytes;
    this.hasTrailers = hasTrailers;
  }

  /** Sends what the gateway takes, at least one piece; true once all is gone. */
  pump(): boolean {
    const { stream, bytes, hasTrailers } = this;
    for (let flowing = true; flowing;) {
      const end = Math.min(this.sent + pieceBytes, bytes.length);
      const isLast = end === bytes.length;
      flowing = stream.send(encodePiece(Body.request, bytes.subarray(this.sent, end), isLast && !hasTrailers));
      this.sent = end;
      if (!isLast) continue;
      if (hasTrailers) stream.send(requestTrailersUnchanged);
      return true;
    }
    return false;
  }
}
