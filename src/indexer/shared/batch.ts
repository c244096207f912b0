/**
 * Block keys in one entry of the stream; with them an entry is about 32 KiB, and applying it takes less than a
 * millisecond.
 */
export const keysPerBatch = 4096;
const endpointBytes = 16;
const recordBytes = 8;
const keyBytes = 8;
const headBytes = 16;
const mostEndpoints = 65_536;

/** Marks of a record, above the endpoint's 16 bits. */
const Mark = { extends: 1 << 16, forget: 1 << 17 } as const;

/** An engine as all replicas name it. */
export interface EngineName {
  /** 64 bits of a digest over name and address. */
  readonly low: number;
  readonly high: number;
  /** When the engine's process started, in seconds since 1970; 0 where it is not known. */
  readonly life: number;
}

/** One thing that a replica tells of an engine. */
export interface BatchRecord {
  readonly engine: EngineName;
  /** What was told before of this engine is void. */
  readonly forget: boolean;
  /** The first key is that of a block that is known there already; the others follow it. */
  readonly extends: boolean;
  /** Block keys in order, two 32-bit halves each. */
  readonly keys: Uint32Array;
}

/** Gathers records up to the size of an entry. */
export class BatchWriter {
  private readonly engines = new Map<string, { index: number; engine: EngineName }>();
  private readonly records: number[] = [];
  private readonly keys = new Uint32Array(2 * keysPerBatch);
  private used = 0;

  get empty(): boolean {
    return this.records.length === 0;
  }

  /** Keys that fit in still. */
  get room(): number {
    return keysPerBatch - this.used;
  }

  forget(engine: EngineName): void {
    this.records.push(this.indexOf(engine) | Mark.forget, 0);
  }

  /**
   * The keys from place `from` to before `to`; where `from` is above 0 the key before goes ahead of them. `room` must
   * be at least their number.
   */
  add(engine: EngineName, keys: Uint32Array, from: number, to: number): void {
    const first = Math.max(0, from - 1);
    this.records.push(this.indexOf(engine) | (from > 0 ? Mark.extends : 0), to - first);
    this.keys.set(keys.subarray(2 * first, 2 * to), 2 * this.used);
    this.used += to - first;
  }

  /** The records as bytes; the writer is empty then. */
  take(): Uint8Array {
    const { engines, records, used } = this;
    const size = headBytes + engines.size * endpointBytes + records.length * 4 + used * keyBytes;
    const buffer = new ArrayBuffer(size);
    new Uint32Array(buffer, 0, 4).set([engines.size, records.length / 2, used, 0]);
    let at = headBytes;
    for (const { engine } of engines.values()) {
      new Uint32Array(buffer, at, 2).set([engine.low, engine.high]);
      new Float64Array(buffer, at + 8, 1)[0] = engine.life;
      at += endpointBytes;
    }
    new Uint32Array(buffer, at, records.length).set(records);
    new Uint32Array(buffer, at + records.length * 4, 2 * used).set(this.keys.subarray(0, 2 * used));
    engines.clear();
    records.length = 0;
    this.used = 0;
    return new Uint8Array(buffer);
  }

  private indexOf(engine: EngineName): number {
    const name = `${engine.low} ${engine.high} ${engine.life}`;
    const known = this.engines.get(name);
    if (known !== undefined) return known.index;
    const index = this.engines.size;
    this.engines.set(name, { index, engine });
    return index;
  }
}

/** The records of an entry; null where it is none (another version at best: what is sealed was not forged). */
export function readBatch(plain: Uint8Array): readonly BatchRecord[] | null {
  if (plain.length < headBytes || plain.length % 8 !== 0) return null;
  // A copy, because views of 8 bytes need an aligned start.
  const { buffer } = Uint8Array.from(plain);
  const [engineCount, recordCount, keyCount] = new Uint32Array(buffer, 0, 3);
  if (engineCount > mostEndpoints) return null;
  const size = headBytes + engineCount * endpointBytes + recordCount * recordBytes + keyCount * keyBytes;
  if (size !== plain.length) return null;
  const engines = readEngines(buffer, engineCount);
  const heads = new Uint32Array(buffer, headBytes + engineCount * endpointBytes, 2 * recordCount);
  const keys = new Uint32Array(buffer, size - keyCount * keyBytes, 2 * keyCount);
  const records: BatchRecord[] = [];
  let at = 0;
  for (let i = 0; i < recordCount; i++) {
    const head = heads[2 * i];
    const end = at + heads[2 * i + 1];
    const engine = engines[head & 0xffff];
    if (engine === undefined || end > keyCount) return null;
    const extension = (head & Mark.extends) !== 0;
    records.push({
      engine,
      forget: (head & Mark.forget) !== 0,
      extends: extension,
      keys: keys.subarray(2 * at, 2 * end),
    });
    at = end;
  }
  return at === keyCount ? records : null;
}

function readEngines(buffer: ArrayBuffer, count: number): (EngineName | undefined)[] {
  const engines: (EngineName | undefined)[] = [];
  for (let i = 0; i < count; i++) {
    const at = headBytes + i * endpointBytes;
    const [low, high] = new Uint32Array(buffer, at, 2);
    const life = new Float64Array(buffer, at + 8, 1)[0];
    engines.push({ low, high, life: Number.isFinite(life) ? life : 0 });
  }
  return engines;
}
