/** What a `traceparent` header names. */
export interface TraceParent {
  readonly traceId: string;
  readonly spanId: string;
  readonly flags: number;
}

/** Flags of W3C Trace Context: the trace is recorded; its id is random in the right places. */
export const TraceFlag = { sampled: 1, random: 2 } as const;

const shape = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const noTrace = '0'.repeat(32);
const noSpan = '0'.repeat(16);

/**
 * Reads a `traceparent` header as W3C Trace Context has it; null for anything else. Of versions to come it reads what
 * version 00 has, as the standard wants it.
 */
export function parseTraceparent(text: string): TraceParent | null {
  const found = shape.exec(text);
  if (found === null) return null;
  const [, version, traceId, spanId, flags, more] = found;
  if (version === 'ff' || (version === '00' && more !== undefined)) return null;
  if (traceId === noTrace || spanId === noSpan) return null;
  return { traceId, spanId, flags: parseInt(flags, 16) };
}

/** The header lines for a context; `tracestate` is empty where there is none. */
export function traceLines({ traceId, spanId, flags }: TraceParent, tracestate: string): string {
  const parent = `traceparent: 00-${traceId}-${spanId}-0${flags & (TraceFlag.sampled | TraceFlag.random)}\r\n`;
  return tracestate === '' ? parent : `${parent}tracestate: ${tracestate}\r\n`;
}
