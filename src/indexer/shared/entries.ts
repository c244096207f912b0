import type { Reply } from './resp.ts';
import { StoreError } from './store-error.ts';

/** The field of an entry that holds what was told. */
export const entryField = 'b';
/** The field of an entry that only shows that entries can be written. */
export const greetingField = 'hello';

export interface StreamEntry {
  /** `milliseconds-sequence`, by the server's clock; ids only grow. */
  readonly id: string;
  /** Null where the entry has no such field. */
  readonly sealed: Buffer | null;
  /** Bytes of all its fields. */
  readonly bytes: number;
}

/** The entries of the only stream that an XREAD asked for; none where it has nothing new. Throws StoreError. */
export function entriesOfRead(reply: Reply): readonly StreamEntry[] {
  if (reply === null) return [];
  const streams = listOf(reply);
  if (streams.length !== 1) throw unexpected();
  return entriesOf(listOf(streams[0])[1] ?? null);
}

/** The entries that an XRANGE or XREVRANGE found. Throws StoreError. */
export function entriesOf(reply: Reply): readonly StreamEntry[] {
  return listOf(reply).map((entry) => {
    const [id, fields] = listOf(entry);
    const name = Buffer.isBuffer(id) ? id.toString('latin1') : '';
    if (!/^[0-9]{1,19}-[0-9]{1,19}$/.test(name)) throw unexpected();
    // Fields are null where the entry was deleted meanwhile.
    return { id: name, ...read(fields === null ? [] : listOf(fields)) };
  });
}

/** Whether the first id comes after the second. */
export function isLater(a: string, b: string): boolean {
  const [aTime, aCount] = a.split('-');
  const [bTime, bCount] = b.split('-');
  return aTime === bTime ? BigInt(aCount) > BigInt(bCount) : BigInt(aTime) > BigInt(bTime);
}

function read(fields: readonly Reply[]): Pick<StreamEntry, 'sealed' | 'bytes'> {
  let bytes = 0;
  let sealed: Buffer | null = null;
  for (const [i, field] of fields.entries()) {
    if (!Buffer.isBuffer(field)) throw unexpected();
    bytes += field.length;
    if (i % 2 === 1 && String(fields[i - 1]) === entryField) sealed = field;
  }
  return { sealed, bytes };
}

function listOf(reply: Reply | undefined): readonly Reply[] {
  if (!isList(reply)) throw unexpected();
  return reply;
}

function isList(reply: Reply | undefined): reply is readonly Reply[] {
  return Array.isArray(reply);
}

function unexpected(): StoreError {
  return new StoreError('Misbehaving', 'the server answers otherwise than a Redis or Valkey does');
}
