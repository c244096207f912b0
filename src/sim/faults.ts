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
  /** At once: the engine dies 20 ms after its next answer to a prefill, whose blocks go with it. */
  'die-after-prefill',
  /** A prefill's answer carries `kv_transfer_params` that are no such thing: see `shape`. */
  'garbage-params',
  /** Reads of this engine's blocks are granted and never end. */
  'transfer-hang',
  /** Reads of this engine's blocks are refused, as after the end of their lease. */
  'transfer-refuse',
  /** Reads of this engine's blocks get no answer at all, as from a dead engine. */
  'transfer-ignore',
] as const;

/** A request's place in the hand-over, by its `kv_transfer_params`. */
export type RequestKind = 'plain' | 'prefill' | 'decode';

const moments = ['before', 'during', 'after'] as const;
const targets = ['any', 'plain', 'prefill', 'decode'] as const;
const shapes = ['text', 'huge', 'deep'] as const;

export type FaultType = (typeof faultTypes)[number];

export interface Fault {
  readonly type: FaultType;
  /** Requests (or batches of events) that it strikes; then the engine is healthy again. Infinity: all. */
  readonly count: number;
  readonly afterTokens: number;
  readonly factor: number;
  readonly seconds: number;
  /** Which requests it strikes; default any. */
  readonly on?: (typeof targets)[number];
  /**
   * When error, unavailable, hang and cut strike. `before`: the engine never sees the request. `during`: when the prompt is all but
   * computed; nothing is kept. `after`: in place of the answer, or of a stream's end; a prefill's blocks are kept. Default: `before`; a
   * cut without it goes by `afterTokens`.
   */
  readonly when?: (typeof moments)[number];
  /** Of garbage params: a text; 8 MB of block ids; 100,000 arrays in each other. */
  readonly shape?: (typeof shapes)[number];
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
  const word = <T extends string>(key: string, words: readonly T[]): T | undefined => {
    const found = given.get(key);
    const known = words.find((each) => each === found);
    if (found !== undefined && known === undefined) throw new FaultError(`"${key}" must be one of ${words.join(', ')}`);
    return known;
  };
  const fault = {
    type,
    count: number('count'),
    afterTokens: number('afterTokens'),
    factor: number('factor'),
    seconds: number('seconds'),
    on: word('on', targets) ?? 'any',
    ...optional('when', word('when', moments)),
    ...optional('shape', word('shape', shapes)),
  };
  if (fault.factor === 0) throw new FaultError('"factor" must be above 0');
  return fault;
}

function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  const found: { [P in K]?: V } = {};
  if (value !== undefined) found[key] = value;
  return found;
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
  strike(kind: RequestKind = 'plain'): Fault {
    const { type, on = 'any' } = this.fault;
    if (transferFaults.has(type) || (prefillFaults.has(type) && kind !== 'prefill')) return noFault;
    return on === 'any' || on === kind ? this.take() : noFault;
  }

  /** The fault that strikes this read of the engine's blocks; counts it. */
  strikeTransfer(): Fault {
    return transferFaults.has(this.fault.type) ? this.take() : noFault;
  }

  private take(): Fault {
    if (this.left <= 0) return noFault;
    this.left -= 1;
    return this.fault;
  }
}

const transferFaults: ReadonlySet<FaultType> = new Set(['transfer-hang', 'transfer-refuse', 'transfer-ignore']);
const prefillFaults: ReadonlySet<FaultType> = new Set(['die-after-prefill', 'garbage-params']);

/** What stands in a prefill's answer in place of `kv_transfer_params`, as JSON. */
export function garbageParams(shape: Fault['shape']): string {
  if (shape === 'huge') return `{"do_remote_prefill":true,"remote_block_ids":[[${'7,'.repeat(4_000_000)}7]]}`;
  return shape === 'deep' ? '['.repeat(100_000) + ']'.repeat(100_000) : '"not an object"';
}
