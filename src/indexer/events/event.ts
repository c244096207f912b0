import type { StoredBlocks } from '../kv-events.ts';
import { Tier } from '../kv-events.ts';
import type { KVEventCounters } from './counters.ts';
import type { ExtraContext, ExtraKeys } from './extra-keys.ts';
import { MalformedError, type LastText, type MsgpackReader } from './msgpack-reader.ts';
import { tierOf } from './tier.ts';

/** Fields of an event that matter here; places in `fieldNames`. */
const Field = {
  hashes: 0,
  parent: 1,
  tokens: 2,
  blockSize: 3,
  loraId: 4,
  medium: 5,
  loraName: 6,
  extraKeys: 7,
  group: 8,
  specKind: 9,
} as const;

/** Keys of a map, and the order of BlockStored's fields in a list. */
export const fieldNames: readonly Uint8Array[] = [
  'block_hashes',
  'parent_block_hash',
  'token_ids',
  'block_size',
  'lora_id',
  'medium',
  'lora_name',
  'extra_keys',
  'group_idx',
  'kv_cache_spec_kind',
].map((name) => new TextEncoder().encode(name));

export const storedFields: readonly number[] = fieldNames.map((_, place) => place);
/** The order of BlockRemoved's fields in a list. */
export const removedFields: readonly number[] = [Field.hashes, Field.medium, Field.group];

/** One event's blocks and tokens at most: far above a step of any engine, low enough to keep the arrays for good. */
export const maxBlocks = 65_536;
export const maxTokens = 1_048_576;
/** Tokens in a block; hybrid models have blocks of a few thousand. */
const maxBlockSize = 65_536;
const maxNameBytes = 512;
/** Groups of KV caches beyond this are taken for one. */
export const maxGroup = 255;

/** Kinds of layers whose blocks make up a prefix: a request needs all of them from the first on. */
const prefixKinds: ReadonlySet<string> = new Set(['full_attention', 'mla_attention', 'sink_full_attention', 'unknown']);

/** One event's fields, in arrays that are used again for the next one. */
export class EventFields implements StoredBlocks, ExtraContext, ExtraKeys {
  count = 0;
  hashes = new Uint32Array(128);
  hasParent = false;
  parentLow = 0;
  parentHigh = 0;
  tokens = new Uint32Array(1024);
  tokenCount = 0;
  blockSize = 0;
  loraName = '';
  loraId = -1;
  tier: Tier = Tier.gpu;
  salt = '';
  extras: string[] | null = null;
  group = 0;
  /** Where `extra_keys` stands; -1 where it does not. */
  extraKeysAt = -1;
  /** Whether the event's layers make up a prefix; null where it does not say. */
  prefix: boolean | null = null;
  private readonly counters: KVEventCounters;
  private readonly lastMedium: LastText = { bytes: new Uint8Array(0), text: '' };
  private readonly lastLora: LastText = { bytes: new Uint8Array(0), text: '' };
  private readonly lastKind: LastText = { bytes: new Uint8Array(0), text: '' };

  constructor(counters: KVEventCounters) {
    this.counters = counters;
  }

  /** An adapter that has no name here gets one that no request can ask for. */
  get lora(): string {
    return this.loraName === '' && this.loraId >= 0 ? `lora_id\u0000${this.loraId}` : this.loraName;
  }

  clear(): void {
    this.count = -1;
    this.hasParent = false;
    this.tokenCount = -1;
    this.blockSize = -1;
    this.loraName = '';
    this.loraId = -1;
    this.tier = Tier.gpu;
    this.salt = '';
    this.extras = null;
    this.group = 0;
    this.extraKeysAt = -1;
    this.prefix = null;
  }

  /** Reads the value of a field; other fields are passed over. */
  read(field: number, reader: MsgpackReader): void {
    switch (field) {
      case Field.hashes:
        this.readHashes(reader);
        return;
      case Field.parent:
        this.readParent(reader);
        return;
      case Field.tokens:
        this.readTokens(reader);
        return;
      case Field.extraKeys:
        // What it means depends on fields that may come later.
        this.extraKeysAt = reader.at;
        reader.skip();
        return;
      default:
        this.readScalar(field, reader);
    }
  }

  private readScalar(field: number, reader: MsgpackReader): void {
    if (field < 0) reader.skip();
    else if (reader.takeNil()) return;
    else if (field === Field.blockSize) this.blockSize = reader.integer(maxBlockSize);
    else if (field === Field.loraId) this.loraId = reader.integer(Number.MAX_SAFE_INTEGER);
    else if (field === Field.medium) this.readMedium(reader);
    else if (field === Field.loraName) this.loraName = reader.textLike(this.lastLora, maxNameBytes);
    else if (field === Field.group) this.group = Math.min(maxGroup, reader.integer(0xffffffff));
    else this.prefix = prefixKinds.has(reader.textLike(this.lastKind, maxNameBytes));
  }

  private readHashes(reader: MsgpackReader): void {
    const count = reader.list();
    if (count > maxBlocks) throw new MalformedError('limit');
    if (this.hashes.length < 2 * count) this.hashes = new Uint32Array(roomFor(2 * count));
    const { hashes } = this;
    for (let i = 0; i < count; i++) {
      reader.hash();
      hashes[2 * i] = reader.low;
      hashes[2 * i + 1] = reader.high;
    }
    this.count = count;
  }

  private readParent(reader: MsgpackReader): void {
    this.hasParent = !reader.takeNil();
    if (!this.hasParent) return;
    reader.hash();
    this.parentLow = reader.low;
    this.parentHigh = reader.high;
  }

  private readTokens(reader: MsgpackReader): void {
    const count = reader.list();
    if (count > maxTokens) throw new MalformedError('limit');
    if (this.tokens.length < count) this.tokens = new Uint32Array(roomFor(count));
    reader.tokens(count, this.tokens);
    this.tokenCount = count;
  }

  private readMedium(reader: MsgpackReader): void {
    const medium = reader.textLike(this.lastMedium, maxNameBytes);
    const known = tierOf(medium);
    if (known === undefined) this.counters.unknownMedia += 1;
    this.tier = known ?? Tier.disk;
  }
}

function roomFor(count: number): number {
  return 2 ** Math.ceil(Math.log2(count));
}
