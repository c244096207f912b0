const newline = 0x0a;
const carriage = 0x0d;

/** Bytes of one event that are held back at most; a longer event goes on in pieces. */
const heldLimit = 1024 * 1024;

const errorStart = Buffer.from('data: {"error"');

/** Whether the first bytes of a stream are an error instead of an answer: engines send the head before they know. */
export function beginsWithError(bytes: Buffer): boolean {
  const { length } = errorStart;
  return bytes.length >= length && errorStart.compare(bytes, 0, length) === 0;
}

/**
 * Cuts a stream of server-sent events at event boundaries: only whole events are passed on, so that an error event
 * can follow at any time and stand alone.
 */
export class EventCutter {
  private held: Buffer | null = null;

  /** The whole events that are complete with this chunk; null when there are none yet. */
  push(chunk: Buffer): Buffer | null {
    const { held } = this;
    // The usual case: one chunk is one event.
    if (held === null && endsEvent(chunk)) return chunk;
    const bytes = held === null ? chunk : Buffer.concat([held, chunk]);
    const end = lastEventEnd(bytes);
    if (end === 0 && bytes.length <= heldLimit) {
      this.held = bytes;
      return null;
    }
    const cut = end === 0 ? bytes.length : end;
    this.held = cut === bytes.length ? null : bytes.subarray(cut);
    return cut === bytes.length ? bytes : bytes.subarray(0, cut);
  }

  /** What is left when the stream has ended well, although the last event lacks its empty line. */
  rest(): Buffer | null {
    return this.held;
  }
}

function endsEvent(bytes: Buffer): boolean {
  const n = bytes.length;
  if (n < 2 || bytes[n - 1] !== newline) return false;
  return bytes[n - 2] === newline || (n > 3 && bytes[n - 2] === carriage && bytes[n - 3] === newline);
}

/** Index after the last empty line; 0 where there is none. */
function lastEventEnd(bytes: Buffer): number {
  let at = bytes.length;
  for (;;) {
    const line = bytes.lastIndexOf(newline, at - 1);
    if (line < 1) return 0;
    if (bytes[line - 1] === newline) return line + 1;
    if (line > 2 && bytes[line - 1] === carriage && bytes[line - 2] === newline) return line + 1;
    at = line;
  }
}
