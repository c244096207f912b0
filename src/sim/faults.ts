/** Ways to fail on demand. `none` ends the others. */
export const faultTypes = [
  'none',
  /** At once: every connection is reset and the engine never comes back. */
  'die',
  /** Requests are accepted and never answered; /health goes on saying 200. */
  'hang',
  /** Every step takes `factor` times as long. */
  'slow',
  /** 500 in vLLM's error shape. */
  'error',
  /** 503 in vLLM's error shape. */
  'unavailable',
  /** The connection is reset after `afterTokens` output tokens (at the answer's time when it does not stream). */
  'cut',
  /** At once: every connection is reset and new ones are refused for `seconds` of wall time. */
  'refuse',
  /** Bytes that are no HTTP, then the connection is closed. */
  'garbage',
  /** At once: the next `count` batches of KV events are numbered and not sent; a replay still has them. */
  'lose-events',
  /** At once: KV events stop for `seconds` and start anew at number 0, on the same ports, with an empty cache. */
  'restart-events',
] as const;

export type FaultType = (typeof faultTypes)[number];

export interface Fault {
  readonly type: FaultType;
  /** Requests (or batches of events) that it strikes; then the engine is healthy again. Infinity: all. */
  readonly count: number;
  readonly afterTokens: number;
  readonly factor: number;
  readonly seconds: number;
}

export const noFault: Fault = Object.freeze({ type: 'none', count: Infinity, afterTokens: 4, factor: 4, seconds: 5 });

/** Thrown for a fault that makes no sense; the message names the cure. */
export class FaultError extends Error {
  override readonly name = 'FaultError';
}

/** Reads `{"type": "cut", "afterTokens": 8, "count": 1}`; a missing number takes its default. */
export function parseFault(value: unknown): Fault {
  if (typeof value !== 'object' || value === null) throw new FaultError('a fault is an object with a "type"');
  const given = new Map<string, unknown>(Object.entries(value));
  const type = faultTypes.find((known) => known === given.get('type'));
  if (type === undefined) throw new FaultError(`"type" must be one of ${faultTypes.join(', ')}`);
  const number = (key: 'count' | 'afterTokens' | 'factor' | 'seconds'): number => {
    const found = given.get(key) ?? noFault[key];
    if (typeof found !== 'number' || !(found >= 0)) throw new FaultError(`"${key}" must be a number of at least 0`);
    return found;
  };
  const fault = {
    type,
    count: number('count'),
    afterTokens: number('afterTokens'),
    factor: number('factor'),
    seconds: number('seconds'),
  };
  if (fault.factor === 0) throw new FaultError('"factor" must be above 0');
  return fault;
}

/** The value of `--fault`: a type's name alone, or the same JSON that /sim/fault takes. */
export function parseFaultFlag(text: string): Fault {
  if (!text.startsWith('{')) return parseFault({ type: text });
  try {
    return parseFault(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError) throw new FaultError(`not JSON: ${error.message}`);
    throw error;
  }
}

/** The fault in force and how many requests it still strikes. */
export class FaultPlan {
  private fault: Fault = noFault;
  private left = Infinity;

  set(fault: Fault): void {
    this.fault = fault;
    this.left = fault.count;
  }

  /** The fault that strikes this request; counts it. */
  strike(): Fault {
    if (this.left <= 0) return noFault;
    this.left -= 1;
    return this.fault;
  }
}
