import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/**
 * What the index relies on of vLLM's own hashes (sha256_cbor, PYTHONHASHSEED=0): they are a chain over full blocks, so
 * that a hash means one prefix and the parent told in an event is the block before. The index never computes them.
 */
type Value = null | number | string | Buffer | readonly Value[];

interface Stored {
  readonly hashes: readonly string[];
  readonly parent: string | null;
  readonly tokens: readonly number[];
  readonly blockSize: number;
  readonly extraKeys: readonly (readonly string[] | null)[];
}

/** First events of a server with cache salt `salty` in its first prompt, as captured. */
const captured = JSON.parse(
  readFileSync(new URL('testdata/vllm-stored.json', import.meta.url), 'utf8'),
) as readonly Stored[];

function head(major: number, value: number): Buffer {
  if (value < 24) return Buffer.from([(major << 5) | value]);
  if (value < 0x100) return Buffer.from([(major << 5) | 24, value]);
  return Buffer.from([(major << 5) | 25, value >> 8, value & 0xff]);
}

/** Canonical CBOR. */
function encode(value: Value): Buffer {
  if (value === null) return Buffer.from([0xf6]);
  if (typeof value === 'number') return head(0, value);
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value]);
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  return Buffer.concat([head(4, value.length), ...value.map(encode)]);
}

const hash = (value: Value): Buffer => createHash('sha256').update(encode(value)).digest();
const external = (digest: Buffer): string => String(digest.readBigUInt64BE(24));
const none = hash('0');

function chain(tokens: readonly number[], blockSize: number, extras: readonly (Value | undefined)[] = []): Buffer[] {
  const digests: Buffer[] = [];
  for (let at = 0; at + blockSize <= tokens.length; at += blockSize) {
    const block = tokens.slice(at, at + blockSize);
    digests.push(hash([digests.at(-1) ?? none, block, extras[at / blockSize] ?? null]));
  }
  return digests;
}

describe("vLLM's block hashes", () => {
  it('have the golden values', () => {
    expect(none.toString('hex').slice(0, 16)).toBe('4e1195df020de59e');
    const tokens = Array.from({ length: 32 }, (_, i) => i);
    expect(chain(tokens, 16).map(external)).toEqual(['12687895063098490012', '1814341696565857452']);
  });

  it('chain over the blocks of an event, the cache salt in the first block alone', () => {
    const [{ tokens, blockSize, hashes, extraKeys }] = captured;
    expect(extraKeys).toEqual([['salty'], null, null]);
    expect(chain(tokens, blockSize, [[['cache_salt', 'salty']]]).map(external)).toEqual(hashes);
    expect(chain(tokens, blockSize).map(external)).not.toEqual(hashes);
  });

  it('go on from the parent that an event names', () => {
    const [, first, second] = captured;
    expect(second.parent).toBe(first.hashes[0]);
    const digests = chain([...first.tokens, ...second.tokens], first.blockSize);
    expect(digests.map(external)).toEqual([...first.hashes, ...second.hashes]);
  });
});
