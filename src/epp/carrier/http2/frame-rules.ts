import type { Frame } from './frame-reader.ts';
import { ConnectionError, ErrorCode, Flag, FrameType } from './protocol.ts';

/** Bytes of the payload, at least and at most, and whether a frame is of a stream or of the connection. */
interface Rule {
  readonly least: number;
  readonly most: number;
  readonly ofStream: boolean | null;
}

const rules = new Map<number, Rule>([
  [FrameType.data, { least: 0, most: Infinity, ofStream: true }],
  [FrameType.headers, { least: 0, most: Infinity, ofStream: true }],
  [FrameType.priority, { least: 5, most: 5, ofStream: true }],
  [FrameType.rstStream, { least: 4, most: 4, ofStream: true }],
  [FrameType.settings, { least: 0, most: Infinity, ofStream: false }],
  [FrameType.ping, { least: 8, most: 8, ofStream: false }],
  [FrameType.goaway, { least: 8, most: Infinity, ofStream: false }],
  [FrameType.windowUpdate, { least: 4, most: 4, ofStream: null }],
  [FrameType.continuation, { least: 0, most: Infinity, ofStream: true }],
]);

/** Throws a `ConnectionError` where a frame is not of its type's length, or not where it belongs. */
export function checkFrame(frame: Frame): void {
  const rule = rules.get(frame.type);
  if (rule === undefined) return;
  if (frame.length < rule.least || frame.length > rule.most) throw wrongLength(frame);
  if (frame.type === FrameType.settings && (frame.flags & Flag.ack) !== 0 && frame.length > 0) throw wrongLength(frame);
  if (rule.ofStream !== null && rule.ofStream !== frame.stream > 0) {
    throw new ConnectionError(ErrorCode.protocolError, `a frame of type ${frame.type} on stream ${frame.stream}`);
  }
}

function wrongLength({ type, length }: Frame): ConnectionError {
  return new ConnectionError(ErrorCode.frameSizeError, `a frame of type ${type} with ${length} bytes`);
}
