import { createHash } from 'node:crypto';
import type { EngineName } from './batch.ts';

/** What names an engine in all replicas alike. */
export interface SharedEngine {
  readonly slot: number;
  readonly name: string;
  /** `host:port`. */
  readonly address: string;
}

/** What a record says of an engine that this replica knows. */
export type Standing =
  /** It counts. */
  | 'current'
  /** It is of an earlier process at that address. */
  | 'stale'
  /** It is of a later process than the one this replica knows of. */
  | 'restarted';

const mostPassedOver = 4096;

export interface EngineChanges {
  /** Slots that have another owner than before, or none. */
  readonly changed: readonly number[];
  /** Slots of new engines of which the stream has told before. */
  readonly missed: readonly number[];
}

interface Name {
  readonly low: number;
  readonly high: number;
  readonly key: string;
}

/** Which slot here is which engine there, and which life of it the books are about. */
export class Engines {
  private readonly startedAt: (slot: number) => number;
  private slots = new Map<string, number>();
  private names: (Name | undefined)[] = [];
  private known = new Map<string, Name>();
  private readonly lives: number[] = [];
  /** Engines that the stream told of and that are not known here. */
  private readonly passedOver = new Set<string>();

  /** `startedAt`: when the engine's process started, in seconds since 1970; 0 while that is not known. */
  constructor(startedAt: (slot: number) => number) {
    this.startedAt = startedAt;
  }

  /** The engines there are now. */
  reconcile(engines: readonly SharedEngine[]): EngineChanges {
    const slots = new Map<string, number>();
    const names: (Name | undefined)[] = [];
    const known = new Map<string, Name>();
    const missed: number[] = [];
    const changed: number[] = [];
    for (const { slot, name, address } of engines) {
      const identity = `${name}\n${address}`;
      const named = this.known.get(identity) ?? nameOf(identity);
      known.set(identity, named);
      slots.set(named.key, slot);
      names[slot] = named;
      if (this.names[slot] !== named) changed.push(slot);
      if (this.passedOver.delete(named.key)) missed.push(slot);
    }
    // What the stream has told of those that left is forgotten with their slot: it is missed if they return.
    for (const { key } of this.known.values()) if (!slots.has(key)) this.passOver(key);
    for (const slot of this.names.keys()) if (names[slot] === undefined) changed.push(slot);
    for (const slot of changed) this.lives[slot] = 0;
    this.names = names;
    this.slots = slots;
    this.known = known;
    return { changed, missed };
  }

  /** The slot of an engine that a record names, or -1. */
  slotOf({ low, high }: EngineName): number {
    const key = `${low} ${high}`;
    const slot = this.slots.get(key);
    if (slot === undefined) this.passOver(key);
    return slot ?? -1;
  }

  /** The engine at a slot as a record names it, or null for a slot of nobody. */
  nameOf(slot: number): EngineName | null {
    const name = this.names[slot];
    return name === undefined ? null : { low: name.low, high: name.high, life: this.life(slot) };
  }

  /** The life of the engine that the books are about; 0 where it is not known. */
  life(slot: number): number {
    return this.lives[slot] ?? 0;
  }

  /** Whether the engine has turned out to be another process than the books are about, which are void then. */
  outlived(slot: number): boolean {
    const started = this.startedAt(slot);
    const known = this.life(slot);
    if (started <= known) return false;
    this.lives[slot] = started;
    return known > 0;
  }

  /** How a record of this life stands to the books; the later life counts from here on. */
  judge(slot: number, life: number): Standing {
    const known = this.life(slot);
    if (life === 0 || life === known) return 'current';
    if (life < known) return 'stale';
    this.lives[slot] = life;
    return known > 0 ? 'restarted' : 'current';
  }

  private passOver(key: string): void {
    if (this.passedOver.size < mostPassedOver) this.passedOver.add(key);
  }
}

function nameOf(identity: string): Name {
  const hash = createHash('sha256').update(identity).digest();
  const [low, high] = [hash.readUInt32LE(0), hash.readUInt32LE(4)];
  return { low, high, key: `${low} ${high}` };
}
