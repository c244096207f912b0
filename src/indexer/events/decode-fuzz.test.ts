import { readFileSync } from 'node:fs';
import { encode } from '@msgpack/msgpack';
import { expect, test } from 'vitest';
import type { KVEventSink } from '../kv-events.ts';
import { newCounters } from './counters.ts';
import { KVEventDecoder, OtherGroups } from './decode.ts';
import { maxBlocks, maxTokens } from './event.ts';

const runs = Number(process.env.HERMES_FUZZ_RUNS ?? 100_000);

/** Numbers from a seed, the same in every run. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 0x1_0000_0000) * below);
  };
}

const captured = readFileSync(new URL('./testdata/captured.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => {
    const { frames }: { frames: string[] } = JSON.parse(line);
    return Buffer.from(frames[2], 'hex');
  });
const stored = [
  'BlockStored',
  [new Uint8Array(32), 5],
  7,
  [1, 2, 3, 4],
  2,
  1,
  'CPU',
  'l',
  [['l', ['i', 2], 's'], null],
];
const seeds = [...captured, encode([1.5, [stored, ['BlockRemoved', [1], null], ['AllBlocksCleared']]])];
/** Bytes that announce more: lists, maps, texts and bytes of up to 32-bit length. */
const markers = [0xdc, 0xdd, 0xde, 0xdf, 0x9f, 0x8f, 0xc6, 0xdb, 0xc9, 0xcf, 0xc1, 0xff];

type Random = (below: number) => number;

const mutations: readonly ((bytes: Buffer, random: Random) => Buffer)[] = [
  (bytes, random) => bytes.fill(random(256), random(bytes.length)).subarray(0, bytes.length),
  (bytes, random) => bytes.subarray(0, random(bytes.length)),
  (bytes, random) => bytes.fill(markers[random(markers.length)], random(bytes.length), random(bytes.length) + 1),
  (bytes, random) => Buffer.concat([bytes.subarray(0, random(bytes.length)), bytes.subarray(random(bytes.length))]),
  (bytes, random) => {
    for (let i = random(8); i >= 0; i--) bytes[random(bytes.length)] ^= 1 << random(8);
    return bytes;
  },
];

test(`${runs} mutated batches neither throw nor leave anything behind, and what comes out is within bounds`, () => {
  const random = seeded(20_261_121);
  const counters = newCounters();
  let worst = 0;
  const sink: KVEventSink = {
    stored: (_holder, { count, hashes, tokens, blockSize, extras }) => {
      const fits = hashes.length >= 2 * count && tokens.length >= count * blockSize && count <= maxBlocks;
      if (!fits || count * blockSize > maxTokens || (extras !== null && extras.length !== count)) worst += 1;
    },
    removed: () => undefined,
    cleared: () => undefined,
  };
  const decoder = new KVEventDecoder(sink, counters);
  const origin = { holder: 0, groups: new OtherGroups() };
  const before = process.memoryUsage();
  let whole = 0;
  for (let run = 0; run < runs; run++) {
    let bytes: Buffer = Buffer.from(seeds[random(seeds.length)]);
    for (let i = random(3); i >= 0 && bytes.length > 0; i--) bytes = mutations[random(mutations.length)](bytes, random);
    if (decoder.decode(bytes, origin)) whole += 1;
  }
  const after = process.memoryUsage();
  expect(worst).toBe(0);
  expect(counters.messages).toBe(runs);
  // Both good and bad ones were among them.
  expect(whole).toBeGreaterThan(runs / 100);
  expect(counters.malformed.truncated).toBeGreaterThan(runs / 100);
  expect(after.heapUsed - before.heapUsed).toBeLessThan(128 * 1024 * 1024);
  expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(64 * 1024 * 1024);
});
