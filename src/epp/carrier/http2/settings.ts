import type { Frame } from './frame-reader.ts';
import { ConnectionError, defaultWindow, ErrorCode, maxPayloadBytes, maxWindow } from './protocol.ts';
import { maxHeaderListBytes } from './request-head.ts';
import { tableBytes } from './dynamic-table.ts';

const Setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

/** Calls that a peer may have open on one connection. */
export const maxConcurrentStreams = 16_384;
/** A stream's window: a message of 1 MiB, Envoy's largest, comes without asking back. */
export const streamWindow = 1024 * 1024 + 64 * 1024;
/** Bytes that a peer may have under way on one connection: much, since each stream has a window of its own. */
export const connectionWindow = 64 * 1024 * 1024;

/** The payload of our SETTINGS; what is not named keeps its default. */
export const ownSettings = Buffer.concat([
  entry(Setting.maxConcurrentStreams, maxConcurrentStreams),
  entry(Setting.initialWindowSize, streamWindow),
  entry(Setting.maxHeaderListSize, maxHeaderListBytes),
]);

function entry(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(id);
  bytes.writeUInt32BE(value, 2);
  return bytes;
}

/** What a peer has asked of us. */
export class PeerSettings {
  /** Of each stream, for what we send. */
  initialWindow = defaultWindow;
  /** Whether the peer may offer less of a header table than by default. */
  hasSmallTable = false;

  /** Reads the payload of SETTINGS. Throws a `ConnectionError`. */
  read(frame: Frame): void {
    if (frame.length % 6 !== 0) throw new ConnectionError(ErrorCode.frameSizeError, 'settings of a wrong length');
    for (let at = frame.start; at < frame.end; at += 6) {
      this.set(frame.bytes.readUInt16BE(at), frame.bytes.readUInt32BE(at + 2));
    }
  }

  private set(id: number, value: number): void {
    if (id === Setting.initialWindowSize) {
      if (value > maxWindow) throw new ConnectionError(ErrorCode.flowControlError, `a window of ${value} bytes`);
      this.initialWindow = value;
    } else if (id === Setting.headerTableSize) this.hasSmallTable ||= value < tableBytes;
    else if (id === Setting.maxFrameSize && (value < maxPayloadBytes || value >= 2 ** 24)) {
      throw new ConnectionError(ErrorCode.protocolError, `frames of at most ${value} bytes`);
    } else if (id === Setting.enablePush && value > 1) {
      throw new ConnectionError(ErrorCode.protocolError, `the setting for pushes is ${value}`);
    }
  }
}
