import { staticTable } from './static-table.ts';

/** Bytes that set the table of the peer's decoder to 0: it must hear so when it offers less than it did, and may always. */
export const noTable = Buffer.of(0x20);

/**
 * A header block that neither needs nor changes a table of the connection's, so that it can be made beforehand and sent on
 * any. Strings are written as Latin-1, without Huffman's code: what is sent often is short.
 */
export function encodeBlock(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(fields.map(([name, value]) => encodeField(name, value)));
}

function encodeField(name: string, value: string): Buffer {
  const known = staticTable.findIndex((field) => field.name === name && field.value === value);
  if (known >= 0) return integer(0x80, 0x7f, known + 1);
  const named = staticTable.findIndex((field) => field.name === name);
  const start = named >= 0 ? integer(0, 0x0f, named + 1) : Buffer.concat([Buffer.of(0), string(name)]);
  return Buffer.concat([start, string(value)]);
}

function string(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  return Buffer.concat([integer(0, 0x7f, bytes.length), bytes]);
}

function integer(pattern: number, mask: number, value: number): Buffer {
  if (value < mask) return Buffer.of(pattern | value);
  const bytes = [pattern | mask];
  let left = value - mask;
  for (; left >= 0x80; left = Math.floor(left / 128)) bytes.push((left & 0x7f) | 0x80);
  return Buffer.from([...bytes, left]);
}
