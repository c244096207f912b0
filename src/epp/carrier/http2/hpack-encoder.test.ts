import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { HpackDecoder } from './hpack-decoder.ts';
import { encodeBlock } from './hpack-encoder.ts';

describe('encodeBlock', () => {
  it('takes from the static table what is in it', () => {
    expect(encodeBlock([[':status', '200']]).toString('hex')).toBe('88');
    expect(encodeBlock([['content-type', 'a']]).toString('hex')).toBe('0f100161');
  });

  it('writes what a decoder reads, whatever the table held and holds, strings of any length included', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary-ascii', maxLength: 20 }),
      fc.nat(40_000).map((length) => 'x'.repeat(length)),
    );
    const name = fc.oneof(fc.constantFrom(':status', 'content-type', 'grpc-status', 'via'), text);
    const decoder = new HpackDecoder();
    fc.assert(
      fc.property(fc.array(fc.tuple(name, text), { maxLength: 6 }), (fields) => {
        const block = encodeBlock(fields);
        const found: [string, string][] = [];
        decoder.decode(block, 0, block.length, { onField: ({ name, value }) => found.push([name, value]) });
        expect(found).toEqual(fields);
      }),
    );
  });
});
