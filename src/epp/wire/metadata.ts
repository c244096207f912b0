import { bytesTag, type Cursor } from './cursor.ts';

const filterMetadata = bytesTag(1);
/** Of `google.protobuf.Struct`. */
const fields = bytesTag(1);
/** Of an entry of a map, which is a message of its own. */
const key = bytesTag(1);
const value = bytesTag(2);
/** Of `google.protobuf.Value`. */
const stringValue = bytesTag(3);
const listValue = bytesTag(6);
const nullValue = 8;
/** Of `google.protobuf.ListValue`. */
const values = bytesTag(1);

const subsetSpace = Buffer.from('envoy.lb.subset_hint');
const balancerSpace = Buffer.from('envoy.lb');
const subsetKey = Buffer.from('x-gateway-destination-endpoint-subset');
const destinationKey = Buffer.from('x-gateway-destination-endpoint');
const servedKey = Buffer.from('x-gateway-destination-endpoint-served');

/** What we read of `envoy.config.core.v3.Metadata`. */
export class RequestMetadata {
  subset: readonly string[] | null = null;
  served = '';
  destination = '';
  /** Where the key of the map's entry that was read last lies. */
  private keyStart = 0;
  private keyEnd = 0;

  clear(): void {
    this.subset = null;
    this.served = '';
    this.destination = '';
  }

  /** Reads the `Metadata` that the cursor has gone into, up to its end. */
  read(cursor: Cursor): void {
    while (cursor.more()) {
      const tag = cursor.tag();
      if (tag === filterMetadata) this.readSpace(cursor);
      else cursor.skip(tag);
    }
  }

  private readSpace(cursor: Cursor): void {
    const outer = cursor.enter();
    const { end } = cursor;
    this.readEntry(cursor);
    if (this.isKey(cursor, subsetSpace)) this.readFields(cursor, true);
    else if (this.isKey(cursor, balancerSpace)) this.readFields(cursor, false);
    cursor.end = end;
    cursor.leave(outer);
  }

  /** The fields of a `Struct`. */
  private readFields(cursor: Cursor, isSubset: boolean): void {
    while (cursor.more()) {
      const tag = cursor.tag();
      if (tag !== fields) {
        cursor.skip(tag);
        continue;
      }
      const outer = cursor.enter();
      const { end } = cursor;
      this.readEntry(cursor);
      if (isSubset) this.takeHint(cursor);
      else this.takePick(cursor);
      cursor.end = end;
      cursor.leave(outer);
    }
  }

  private takeHint(cursor: Cursor): void {
    if (this.isKey(cursor, subsetKey)) this.subset = hint(cursor);
  }

  private takePick(cursor: Cursor): void {
    if (this.isKey(cursor, destinationKey)) this.destination = text(cursor);
    else if (this.isKey(cursor, servedKey)) this.served = text(cursor);
  }

  /**
   * Reads an entry of a map and narrows the cursor to its value; whoever calls widens it again. Key and value come in
   * either order, and either may be left out, which means an empty one.
   */
  private readEntry(cursor: Cursor): void {
    let start = cursor.end;
    let end = cursor.end;
    this.keyStart = 0;
    this.keyEnd = 0;
    while (cursor.more()) {
      const tag = cursor.tag();
      if (tag !== key && tag !== value) {
        cursor.skip(tag);
        continue;
      }
      const length = cursor.length();
      if (tag === key) {
        this.keyStart = cursor.at;
        this.keyEnd = cursor.at + length;
      } else {
        start = cursor.at;
        end = cursor.at + length;
      }
      cursor.at += length;
    }
    cursor.at = start;
    cursor.end = end;
  }

  private isKey(cursor: Cursor, name: Buffer): boolean {
    if (this.keyEnd - this.keyStart !== name.length) return false;
    return name.compare(cursor.bytes, this.keyStart, this.keyEnd) === 0;
  }
}

/** The string that a `Value` holds; empty when it holds anything else. */
function text(cursor: Cursor): string {
  let found = '';
  while (cursor.more()) {
    const tag = cursor.tag();
    if (tag === stringValue) found = string(cursor);
    else cursor.skip(tag);
  }
  return found;
}

/**
 * The addresses of a `Value`: a list of strings, or one string with commas. Null for a null or nothing at all; anything
 * else is a restriction that we cannot read, so it allows nothing rather than everything.
 */
function hint(cursor: Cursor): readonly string[] | null {
  let found: string[] | null = null;
  while (cursor.more()) {
    const tag = cursor.tag();
    if (tag === stringValue) found = split(string(cursor));
    else if (tag === listValue) found = list(cursor);
    else {
      cursor.skip(tag);
      found = tag === nullValue ? null : [];
    }
  }
  return found;
}

function list(cursor: Cursor): string[] {
  const found: string[] = [];
  const outer = cursor.enter();
  while (cursor.more()) {
    const tag = cursor.tag();
    if (tag !== values) {
      cursor.skip(tag);
      continue;
    }
    const list = cursor.enter();
    found.push(...split(text(cursor)));
    cursor.leave(list);
  }
  cursor.leave(outer);
  return found;
}

function split(text: string): string[] {
  return text
    .split(',')
    .map((address) => address.trim())
    .filter((address) => address !== '');
}

function string(cursor: Cursor): string {
  const length = cursor.length();
  const start = cursor.at;
  cursor.at += length;
  return cursor.bytes.toString('utf8', start, cursor.at);
}
