import { readFileSync } from 'node:fs';
import { decode as decodeValue, encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newCounters, type KVEventCounters } from './counters.ts';
import { KVEventDecoder, OtherGroups } from './decode.ts';
import { Recorder } from './recorder.fixture.ts';

const wide = { useBigInt64: true } as const;
const hash = 12_687_895_063_098_490_012n;

interface Decoded {
  readonly whole: boolean;
  readonly recorder: Recorder;
  readonly counters: KVEventCounters;
}

/** Decodes payloads one after the other for holder 3. */
function decodeAll(...payloads: readonly Uint8Array[]): Decoded {
  const recorder = new Recorder();
  const counters = newCounters();
  const decoder = new KVEventDecoder(recorder, counters);
  const origin = { holder: 3, groups: new OtherGroups() };
  const whole = payloads.map((payload) => decoder.decode(payload, origin)).every(Boolean);
  return { whole, recorder, counters };
}

function batch(...events: readonly unknown[]): Uint8Array {
  return encode([1_795_246_985.25, events, 0], wide);
}

/** A BlockStored of two blocks of four tokens. */
function storedMap(over: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    type: 'BlockStored',
    block_hashes: [hash, 7n],
    parent_block_hash: null,
    token_ids: [1, 2, 300, 70_000, 5, 6, 7, 4_294_967_295],
    block_size: 4,
    lora_id: null,
    medium: 'GPU',
    lora_name: null,
    ...over,
  };
}

const twoBlocks = {
  hashes: [hash.toString(), '7'],
  parent: null,
  tokens: [1, 2, 300, 70_000, 5, 6, 7, 4_294_967_295],
  blockSize: 4,
  lora: '',
  salt: '',
  extras: null,
  tier: 0,
};

const captured = readFileSync(new URL('./testdata/captured.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => {
    const { capture, frames }: { capture: string; frames: string[] } = JSON.parse(line);
    return { capture, payload: Buffer.from(frames[2], 'hex') };
  });

describe('what a real vLLM has sent', () => {
  test('is decoded to the last event, as a library decodes it', () => {
    const { whole, recorder, counters } = decodeAll(...captured.map(({ payload }) => payload));
    expect(whole).toBe(true);
    const expected = captured.flatMap(({ payload }) => {
      const [, events] = decodeValue(payload, wide) as [number, Record<string, unknown>[]];
      return events.flatMap(({ type, block_hashes }) => {
        const hashes = Array.isArray(block_hashes) ? block_hashes.map(String) : [];
        if (type === 'BlockStored') return [`3 stored ${hashes.join()}`];
        return type === 'BlockRemoved' ? hashes.map((removed) => `3 removed ${removed} 0`) : ['3 cleared'];
      });
    });
    expect(recorder.calls).toEqual(expected);
    expect(new Set(recorder.calls.map((call) => call.split(' ')[1]))).toEqual(
      new Set(['stored', 'removed', 'cleared']),
    );
    expect(counters.malformed).toEqual(newCounters().malformed);
    expect([counters.unknownEvents, counters.misaligned, counters.otherGroups]).toEqual([0, 0, 0]);
  });

  test('tells salt and adapter apart, alone and together', () => {
    const { recorder } = decodeAll(...captured.map(({ payload }) => payload));
    const kinds = new Set(recorder.stores.map(({ lora, salt, parent }) => `${lora}/${salt}/${parent === null}`));
    expect(kinds).toEqual(
      new Set(['mylora//true', '//true', 'mylora/s/true', 'mylora//false', '/salty/true', '//false']),
    );
    expect(recorder.stores.every(({ extras }) => extras === null)).toBe(true);
  });
});

describe('every encoding says the same', () => {
  const list = ['BlockStored', [hash, 7n], null, twoBlocks.tokens, 4, null, 'GPU', null];
  const bytes = Buffer.concat([Buffer.alloc(24, 0xee), Buffer.from(hash.toString(16).padStart(16, '0'), 'hex')]);
  const cases: [string, Uint8Array][] = [
    ['maps in a list', batch(storedMap())],
    ['maps in a map', encode({ ts: 1.5, events: [storedMap()], data_parallel_rank: 0 }, wide)],
    ['a list without the rank', encode([1.5, [storedMap()]], wide)],
    ['a list of fields', batch(list)],
    ['a list with the fields of today', batch([...list, [null, null], 0, 'full_attention', null, 'LOCAL', 'x'])],
    ['a list of the first engines, without adapter name', batch(list.slice(0, 7))],
    ['a hash of 32 bytes', batch(storedMap({ block_hashes: [bytes, 7n] }))],
    ['a hash as a short integer', batch(storedMap({ block_hashes: [hash, 7] }))],
    ['a hash as a signed integer', batch(storedMap({ block_hashes: [hash - (1n << 64n), 7n] }))],
    ['fields that nobody knows', batch(storedMap({ future: { deep: [1, [2, { x: null }]] }, session_id: 'a' }))],
    ['defaults left out', batch({ type: 'BlockStored', ...pick(['block_hashes', 'token_ids', 'block_size']) })],
    ['the type at the end', batch(typeLast())],
  ];
  test.each(cases)('%s', (_name, payload) => {
    const { whole, recorder, counters } = decodeAll(payload);
    expect(counters.malformed).toEqual(newCounters().malformed);
    expect(whole).toBe(true);
    expect(recorder.stores).toEqual([twoBlocks]);
  });

  function typeLast(): Record<string, unknown> {
    const { type, ...others } = storedMap();
    return { ...others, type };
  }

  function pick(keys: readonly string[]): Record<string, unknown> {
    return Object.fromEntries(keys.map((key) => [key, storedMap()[key]]));
  }

  test('removals and resets as lists and as maps', () => {
    const { recorder } = decodeAll(
      batch(['BlockRemoved', [hash, 1], 'CPU'], ['AllBlocksCleared']),
      batch({ type: 'BlockRemoved', block_hashes: [2n], medium: 'GPU', group_idx: 0 }, { type: 'AllBlocksCleared' }),
    );
    expect(recorder.calls).toEqual([`3 removed ${hash} 1`, '3 removed 1 1', '3 cleared', '3 removed 2 0', '3 cleared']);
  });

  test('a parent is told, and a later block of a prompt has no salt', () => {
    const { recorder } = decodeAll(batch(storedMap({ parent_block_hash: hash, extra_keys: [['text'], null] })));
    expect(recorder.stores[0]).toMatchObject({ parent: hash.toString(), salt: '', extras: [expect.any(String), ''] });
  });
});

describe('extra keys of a first block', () => {
  const image = ['a'.repeat(64), -3];
  const cases: [string, Record<string, unknown>, { lora?: string; salt?: string; extras?: boolean[] }][] = [
    ['nothing', { extra_keys: null }, {}],
    ['a salt', { extra_keys: [['s'], null] }, { salt: 's' }],
    ['an adapter', { lora_id: 1, lora_name: 'l', extra_keys: [['l'], ['l']] }, { lora: 'l' }],
    ['both', { lora_id: 1, lora_name: 'l', extra_keys: [['l', 's'], ['l']] }, { lora: 'l', salt: 's' }],
    [
      'a salt like the adapter',
      { lora_id: 1, lora_name: 'l', extra_keys: [['l', 'l'], ['l']] },
      { lora: 'l', salt: 'l' },
    ],
    ['an image', { extra_keys: [[image], [image]] }, { extras: [true, true] }],
    ['an image of the second block', { extra_keys: [null, [image]] }, { extras: [false, true] }],
    ['an image and a salt', { extra_keys: [[image, 's'], [image]] }, { salt: 's', extras: [true, true] }],
    [
      'embeddings after a salt',
      { extra_keys: [['s', new Uint8Array(32)], null] },
      { salt: 's', extras: [true, false] },
    ],
    ['bare images before a salt', { extra_keys: [['i', 's'], ['i']] }, { salt: 's', extras: [true, true] }],
    ['an adapter by number', { lora_id: 9, extra_keys: [[9, 's'], [9]] }, { lora: 'lora_id\u00009', salt: 's' }],
    ['more entries than blocks', { extra_keys: [null, null, [image]] }, {}],
  ];
  test.each(cases)('%s', (_name, over, { lora = '', salt = '', extras = null }) => {
    const { recorder, counters } = decodeAll(batch(storedMap(over)));
    expect(counters.malformed).toEqual(newCounters().malformed);
    const [told] = recorder.stores;
    expect([told.lora, told.salt]).toEqual([lora, salt]);
    expect(told.extras?.map((extra) => extra !== '') ?? null).toEqual(extras);
  });

  test('two images differ, and one at another offset too', () => {
    const names = [
      ['a', 0],
      ['b', 0],
      ['a', 4],
    ].map((pair) => decodeAll(batch(storedMap({ extra_keys: [[pair], null] }))).recorder.stores[0].extras?.[0]);
    expect(new Set(names).size).toBe(3);
  });
});

describe('tiers', () => {
  const cases: [unknown, number, number][] = [
    [null, 0, 0],
    ['GPU', 0, 0],
    ['gpu', 0, 0],
    ['CPU', 1, 0],
    ['CPU_PINNED', 1, 0],
    ['STORAGE', 2, 0],
    ['Disk', 2, 0],
    ['tape', 2, 1],
  ];
  test.each(cases)('%s', (medium, tier, unknown) => {
    const { recorder, counters } = decodeAll(batch(storedMap({ medium })));
    expect([recorder.stores[0].tier, counters.unknownMedia]).toEqual([tier, unknown]);
  });
});

test('a store by hash alone is told with a block size of 0', () => {
  const placeholder = storedMap({ token_ids: [], block_size: 0, medium: 'CPU', extra_keys: null });
  const { recorder, counters } = decodeAll(batch(placeholder, storedMap({ token_ids: [], block_size: 16 })));
  const hashesOnly = { ...twoBlocks, tokens: [], blockSize: 0 };
  expect(recorder.stores).toEqual([{ ...hashesOnly, tier: 1 }, hashesOnly]);
  expect([counters.withoutTokens, counters.blocksStored]).toEqual([4, 4]);
});

describe('hybrid models', () => {
  test('blocks of sliding windows and state spaces are passed over, and so are their removals', () => {
    const { recorder, counters, whole } = decodeAll(
      batch(
        storedMap({ group_idx: 0, kv_cache_spec_kind: 'full_attention' }),
        storedMap({ group_idx: 1, kv_cache_spec_kind: 'sliding_window' }),
        storedMap({ group_idx: 2, kv_cache_spec_kind: 'mamba', block_hashes: [9n] }),
      ),
      batch({ type: 'BlockRemoved', block_hashes: [hash], medium: 'GPU', group_idx: 1 }),
      batch({ type: 'BlockRemoved', block_hashes: [7n], medium: 'GPU', group_idx: 0 }),
    );
    expect(recorder.calls).toEqual([`3 stored ${hash},7`, '3 removed 7 0']);
    expect(counters.otherGroups).toBe(3);
    expect(whole).toBe(true);
  });

  test.each(['full_attention', 'mla_attention', 'sink_full_attention', 'unknown'])('%s counts', (kind) => {
    const { recorder } = decodeAll(batch(storedMap({ kv_cache_spec_kind: kind })));
    expect(recorder.stores.length).toBe(1);
  });
});

describe('events that cannot be used are passed over and counted, and the others count', () => {
  const cases: [string, unknown, Partial<KVEventCounters>, boolean][] = [
    ['an unknown type', { type: 'BlockMoved', block_hashes: 'odd' }, { unknownEvents: 1 }, true],
    ['an unknown type in a list', ['BlockMoved', 1, 'odd'], { unknownEvents: 1 }, true],
    ['fewer hashes than tokens', storedMap({ block_hashes: [1n] }), { misaligned: 1 }, true],
    ['a block of no tokens', storedMap({ block_size: 0 }), { misaligned: 1 }, true],
    ['a store of nothing', storedMap({ block_hashes: [], token_ids: [] }), {}, true],
    ['a store without tokens', storedMap({ token_ids: null }), {}, true],
    ['a token beyond 32 bits', storedMap({ token_ids: [2 ** 33, 1, 1, 1, 1, 1, 1, 1] }), {}, true],
    ['a negative token', storedMap({ token_ids: [-1, 1, 1, 1, 1, 1, 1, 1] }), {}, true],
    ['a hash that is a text', storedMap({ block_hashes: ['x', 'y'] }), {}, true],
    ['a hash of 4 bytes', storedMap({ block_hashes: [new Uint8Array(4), 1] }), {}, true],
    ['a name of a kilobyte', storedMap({ lora_name: 'x'.repeat(1000) }), {}, true],
    ['an absurd block size', storedMap({ block_size: 1_000_000 }), {}, true],
    ['a removal that names nothing', { type: 'BlockRemoved', medium: 'GPU' }, {}, false],
    ['a removal of a text', { type: 'BlockRemoved', block_hashes: ['x'] }, {}, false],
    ['no event at all', 17, {}, false],
    ['an event without a type', { block_hashes: [1n] }, {}, false],
    ['an empty list', [], {}, false],
  ];
  test.each(cases)('%s', (_name, event, counted, whole) => {
    const result = decodeAll(batch(event, ['BlockRemoved', [5n], 'GPU']));
    expect(result.recorder.calls).toEqual(['3 removed 5 0']);
    expect(result.whole).toBe(whole);
    expect(result.counters).toMatchObject(counted);
    const malformed = Object.values(result.counters.malformed).reduce((sum, count) => sum + count);
    expect(malformed).toBe(Object.keys(counted).length > 0 || _name === 'a store of nothing' ? 0 : 1);
  });
});

describe('batches that are none', () => {
  const cases: [string, Uint8Array, string][] = [
    ['nothing', new Uint8Array(0), 'truncated'],
    ['a text', encode('hello'), 'type'],
    ['a list of one', encode([1]), 'batch'],
    ['a map without events', encode({ ts: 1 }), 'batch'],
    ['events that are no list', encode([1, 'x']), 'type'],
    ['a list that says it is longer than its bytes', Uint8Array.from([0xdd, 0xff, 0xff, 0xff, 0xff, 1]), 'truncated'],
    ['a thousand lists in each other', Buffer.concat([Buffer.alloc(1000, 0x91), Buffer.from([0xc1])]), 'batch'],
    ['a batch cut off', batch(storedMap()).subarray(0, 60), 'truncated'],
    ['a byte that msgpack does not use', encode([new Uint8Array([1])]).fill(0xc1, 0, 1), 'type'],
  ];
  test.each(cases)('%s', (_name, payload, reason) => {
    const { whole, recorder, counters } = decodeAll(payload);
    expect(whole).toBe(false);
    expect(recorder.calls).toEqual([]);
    expect(Object.entries(counters.malformed).filter(([, count]) => count > 0)[0][0]).toBe(reason);
  });

  test('depth costs neither stack nor memory', () => {
    const deep = Buffer.concat([Buffer.from([0x92]), Buffer.alloc(1_000_000, 0x91), Buffer.from([0xc0, 0x90])]);
    expect(decodeAll(deep).whole).toBe(true);
  });
});

const hashes = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const token = fc.oneof(fc.nat(200), fc.nat(70_000), fc.integer({ min: 0, max: 0xffffffff }));
const block = fc.record({ hash: hashes, tokens: fc.array(token, { minLength: 4, maxLength: 4 }) });

test('whatever is stored comes out as it went in', () => {
  fc.assert(
    fc.property(
      fc.array(block, { minLength: 1, maxLength: 200 }),
      fc.option(hashes),
      fc.boolean(),
      (blocks, parent, map) => {
        const fields = {
          block_hashes: blocks.map((one) => one.hash),
          parent_block_hash: parent,
          token_ids: blocks.flatMap(({ tokens }) => tokens),
          block_size: 4,
        };
        const event = map
          ? { type: 'BlockStored', ...fields }
          : ['BlockStored', ...Object.values(fields), null, 'GPU', null];
        const { recorder } = decodeAll(batch(event));
        expect(recorder.stores).toEqual([
          {
            ...twoBlocks,
            hashes: fields.block_hashes.map(String),
            parent: parent?.toString() ?? null,
            tokens: fields.token_ids,
          },
        ]);
      },
    ),
    { numRuns: 200 },
  );
});
