import type { Holder, KVEventSink } from '../kv-events.ts';
import type { KVEventCounters } from './counters.ts';
import { EventFields, fieldNames, maxGroup, removedFields, storedFields } from './event.ts';
import { readExtraKeys } from './extra-keys.ts';
import { MalformedError, MsgpackReader } from './msgpack-reader.ts';

/** Whose events are decoded, and what has been learned of them so far. */
export interface EventOrigin {
  readonly holder: Holder;
  readonly groups: OtherGroups;
}

/** Groups of KV caches whose blocks say nothing of a prefix: removals name the group, but not its kind. */
export class OtherGroups {
  private readonly flags = new Uint8Array(maxGroup + 1);

  has(group: number): boolean {
    return this.flags[group] === 1;
  }

  learn(group: number, other: boolean): void {
    this.flags[group] = other ? 1 : 0;
  }
}

const encoder = new TextEncoder();
const eventTypes = ['BlockStored', 'BlockRemoved', 'AllBlocksCleared'].map((name) => encoder.encode(name));
const typeKey = [encoder.encode('type')];
const batchKeys = [encoder.encode('events')];

/**
 * Decodes vLLM's KV event batches into calls of a sink: lists `[seconds, events, rank]` or maps, events as lists with
 * append-only fields (before June 2026) or as maps. Unknown fields and events are passed over and counted, and nothing
 * that the bytes hold makes it throw.
 *
 * Of a hybrid model only the groups count whose layers see the whole context (full attention, MLA, with or without sinks):
 * what a sliding window or a state space holds is no prefix. Where groups differ in what they have evicted, the engine may
 * reuse less than is told here.
 */
export class KVEventDecoder {
  private readonly sink: KVEventSink;
  private readonly counters: KVEventCounters;
  private readonly reader = new MsgpackReader();
  private readonly fields: EventFields;

  constructor(sink: KVEventSink, counters: KVEventCounters) {
    this.sink = sink;
    this.counters = counters;
    this.fields = new EventFields(counters);
  }

  /**
   * Takes in one batch. False when it could not be read to its end, or a removal in it could not: then the holder may have
   * lost blocks that the sink still counts, and only dropping its entries makes them true again.
   */
  decode(payload: Uint8Array, origin: EventOrigin): boolean {
    this.reader.reset(payload);
    this.counters.messages += 1;
    try {
      return this.readBatch(origin);
    } catch (error) {
      this.count(error);
      return false;
    }
  }

  private readBatch(origin: EventOrigin): boolean {
    const { reader } = this;
    if (reader.isMap()) return this.readBatchMap(origin);
    if (reader.list() < 2) throw new MalformedError('batch');
    // The time; the rank behind the events is known from the port.
    reader.skip();
    return this.readEvents(origin);
  }

  private readBatchMap(origin: EventOrigin): boolean {
    const { reader } = this;
    for (let left = reader.map(); left > 0; left--) {
      if (reader.key(batchKeys) === 0) return this.readEvents(origin);
      reader.skip();
    }
    throw new MalformedError('batch');
  }

  private readEvents(origin: EventOrigin): boolean {
    const { reader } = this;
    let whole = true;
    for (let left = reader.list(); left > 0; left--) {
      const start = reader.at;
      this.counters.events += 1;
      try {
        this.readEvent(origin);
      } catch (error) {
        this.count(error);
        // What was read of it tells at least its type; a store that is lost only hides a hit.
        if (this.eventType !== 0) whole = false;
        reader.at = start;
        reader.skip();
      }
    }
    return whole;
  }

  /** Place of the event's type in `eventTypes`, -1 for others. */
  private eventType = -1;

  private readEvent(origin: EventOrigin): void {
    const { reader, fields } = this;
    this.eventType = 1;
    fields.clear();
    if (reader.isMap()) this.readMap();
    else this.readList();
    if (this.eventType === 0) this.stored(origin);
    else if (this.eventType === 1) this.removed(origin);
    else if (this.eventType === 2) this.sink.cleared(origin.holder);
    else this.counters.unknownEvents += 1;
  }

  private readMap(): void {
    const { reader, fields } = this;
    const entries = reader.map();
    this.eventType = this.typeOfMap(entries);
    for (let left = entries; left > 0; left--) {
      const field = reader.key(fieldNames);
      if (this.eventType < 0) reader.skip();
      else fields.read(field, reader);
    }
  }

  /** Looks for the key `type`, which comes first in what engines send, and goes back. */
  private typeOfMap(entries: number): number {
    const { reader } = this;
    const start = reader.at;
    for (let left = entries; left > 0; left--) {
      const found = reader.key(typeKey) === 0;
      if (found) {
        const type = reader.key(eventTypes);
        reader.at = start;
        return type;
      }
      reader.skip();
    }
    throw new MalformedError('field');
  }

  private readList(): void {
    const { reader, fields } = this;
    const length = reader.list();
    if (length === 0) throw new MalformedError('field');
    this.eventType = reader.key(eventTypes);
    const order = this.eventType === 0 ? storedFields : removedFields;
    for (let i = 0; i < length - 1; i++) {
      if (this.eventType < 0 || i >= order.length) reader.skip();
      else fields.read(order[i], reader);
    }
  }

  private stored(origin: EventOrigin): void {
    const { fields, counters } = this;
    if (fields.count < 0 || fields.tokenCount < 0 || fields.blockSize < 0) throw new MalformedError('field');
    if (fields.prefix !== null) origin.groups.learn(fields.group, !fields.prefix);
    if (fields.count === 0) return;
    if (origin.groups.has(fields.group)) counters.otherGroups += 1;
    else if (fields.tokenCount === 0) this.tellHashes(origin.holder);
    else if (fields.blockSize === 0 || fields.tokenCount !== fields.count * fields.blockSize) counters.misaligned += 1;
    else this.tell(origin.holder);
  }

  /** What an offloading connector copies it may tell by hash alone; a sink knows such blocks if it has seen them stored. */
  private tellHashes(holder: Holder): void {
    const { fields, counters } = this;
    fields.blockSize = 0;
    counters.withoutTokens += fields.count;
    counters.blocksStored += fields.count;
    this.sink.stored(holder, fields);
  }

  private tell(holder: Holder): void {
    const { fields, reader } = this;
    if (fields.extraKeysAt >= 0) {
      const end = reader.at;
      reader.at = fields.extraKeysAt;
      readExtraKeys(reader, fields, fields);
      reader.at = end;
    }
    this.counters.blocksStored += fields.count;
    this.sink.stored(holder, fields);
  }

  private removed(origin: EventOrigin): void {
    const { fields, counters } = this;
    const { count, hashes, tier } = fields;
    if (count < 0) throw new MalformedError('field');
    if (origin.groups.has(fields.group)) {
      counters.otherGroups += 1;
      return;
    }
    counters.blocksRemoved += count;
    for (let i = 0; i < count; i++) this.sink.removed(origin.holder, hashes[2 * i], hashes[2 * i + 1], tier);
  }

  private count(error: unknown): void {
    if (!(error instanceof MalformedError)) throw error;
    this.counters.malformed[error.reason] += 1;
  }
}
