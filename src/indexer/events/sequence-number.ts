/** The number that ends a replay: −1 in 64 bits. */
export const endOfReplay = Infinity;

/** A batch's number from its frame of 8 bytes, big-endian; −1 for a frame that holds none, `endOfReplay` for the end mark. */
export function sequenceOf(frame: Uint8Array): number {
  if (frame.length !== 8) return -1;
  const high = word(frame, 0);
  const low = word(frame, 4);
  if (high === 0xffffffff && low === 0xffffffff) return endOfReplay;
  // Beyond 2^53 numbers are no longer told apart; no engine gets there.
  return high > 0x1fffff ? -1 : high * 0x1_0000_0000 + low;
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}
