/** Bytes that are no `ProcessingRequest`; ends the call with INVALID_ARGUMENT. */
export class WireError extends Error {
  override readonly name = 'WireError';
}
