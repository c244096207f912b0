import { BlockIndex } from '../../src/indexer/blocks/block-index.ts';
import { TokenKeys } from '../../src/indexer/blocks/token-keys.ts';
import { newCounters } from '../../src/indexer/events/counters.ts';
import { KVEventDecoder, OtherGroups } from '../../src/indexer/events/decode.ts';
import { ownTime, Pauses, rounds, time } from './timing.ts';
import { blockSize, Event, payloadOf, promptEvent, tokens } from './workload.ts';
import { seeded } from '../../src/sim/random.ts';

const secret = 0x5eed;
const clock = { now: (): number => performance.now() };
const endpoints = 100;
const promptTokens = 10_000;
const promptBlocks = promptTokens / blockSize;
const prompts = 32;
const scope = { blockSize, lora: '', salt: '' };
const many = 5_000_000;
/** Filled with prompts of so many blocks, from one engine after the other. */
const filledPrompt = 1024;
const fills = 5;

function opened(index: BlockIndex): number {
  const holder = index.open();
  if (holder === null) throw new Error('the index has no holder left');
  return holder;
}

function row(...cells: (string | number)[]): void {
  console.log(`| ${cells.join(' | ')} |`);
}

/** Prompts of 10,000 tokens of which the first half is shared, held by each endpoint as far as `held` says. */
function fleet(index: BlockIndex, held: (endpoint: number, prompt: number) => number): Uint32Array[] {
  const random = seeded(7);
  const shared = tokens(promptTokens / 2, random);
  const pool = Array.from({ length: prompts }, () => {
    const ids = tokens(promptTokens, random);
    ids.set(shared);
    return ids;
  });
  for (let endpoint = 0; endpoint < endpoints; endpoint++) {
    const holder = opened(index);
    for (const [name, ids] of pool.entries()) index.stored(holder, promptEvent(ids, name, held(endpoint, name)));
  }
  return pool;
}

function timed(what: string, target: string, calls: number, call: (i: number) => void): void {
  for (let i = 0; i < 2 * calls; i++) call(i % calls);
  const { median, best } = time(calls, call);
  row(what, target, `${median.toFixed(1)} µs`, `${best.toFixed(1)} µs`);
}

function lookups(what: string, held: (endpoint: number, prompt: number) => number): void {
  const index = new BlockIndex({ secret, clock });
  const pool = fleet(index, held);
  const keys = new TokenKeys(secret);
  let found = 0;
  timed(`10,000-token prompt, ${endpoints} endpoints, ${what}`, '60 µs', 2000, (i) => {
    const blocks = keys.compute(pool[i % prompts], promptTokens, scope);
    found += index.match(keys.keys, blocks).blocks[i % endpoints];
  });
  if (found === 0) throw new Error('nothing was found');
}

function hashing(): void {
  const keys = new TokenKeys(secret);
  const pool = Array.from({ length: prompts }, (_, i) => tokens(promptTokens, seeded(i)));
  timed('10,000-token prompt, hashing alone', '', 5000, (i) => {
    keys.compute(pool[i % prompts], promptTokens, scope);
  });
}

interface Filled {
  readonly index: BlockIndex;
  readonly holders: number[];
  /** Keys of every fourth prompt filled in, `promptBlocks` each. */
  readonly keys: Uint32Array[];
}

/** An index with five million unique blocks, told of in messages of 64. */
function fill(making: Pauses, storing: Pauses): Filled {
  let made: BlockIndex | undefined;
  making.run(() => {
    made = new BlockIndex({ secret, clock, bounds: { maxBlocks: many, maxPlacements: many } });
  });
  if (made === undefined) throw new Error('no index was made');
  const index = made;
  const holders = Array.from({ length: endpoints }, () => opened(index));
  const chain = new TokenKeys(secret);
  const keys: Uint32Array[] = [];
  const random = seeded(11);
  const event = new Event(64, random);
  for (let told = 0; told < many; told += event.count) {
    const prompt = Math.floor(told / filledPrompt);
    const from = told % filledPrompt;
    event.follow(from === 0 ? null : event, random);
    storing.run(() => index.stored(holders[prompt % endpoints], event));
    if (prompt % 4 !== 0) continue;
    if (from === 0) {
      keys.push(new Uint32Array(2 * promptBlocks));
      chain.begin(scope);
    }
    keep(chain, event, { keys: keys[keys.length - 1], from });
  }
  return { index, holders, keys };
}

/** Writes down the keys of a message's blocks, which are those from `from` on of their prompt. */
function keep(chain: TokenKeys, event: Event, { keys, from }: { keys: Uint32Array; from: number }): void {
  for (let i = 0; i < event.count && from + i < promptBlocks; i++) {
    chain.next(event.tokens, i * blockSize, blockSize);
    keys[2 * (from + i)] = chain.low;
    keys[2 * (from + i) + 1] = chain.high;
  }
}

/** An empty holder in the place of one that is closed and swept. */
function renewed(index: BlockIndex, holder: number): number {
  index.close(holder);
  while (index.sweep(1000));
  return opened(index);
}

const ingested = 99_840;

/** The median over rounds that each begin with an empty holder. */
function ingestion(what: string, target: string, index: BlockIndex, run: (holder: number) => void): void {
  const found: number[] = [];
  let holder = opened(index);
  for (let round = 0; round < rounds; round++) {
    holder = renewed(index, holder);
    const took = ownTime(() => run(holder));
    found.push((ingested / took) * 1e6);
  }
  index.close(holder);
  while (index.sweep(1000));
  found.sort((a, b) => a - b);
  const thousands = (rate: number): string => (Math.round(rate / 1000) * 1000).toLocaleString('en');
  row(what, target, thousands(found[rounds >> 1]), thousands(found[rounds - 1]));
}

function ingestions(index: BlockIndex, size: number): void {
  const random = seeded(17);
  const events = Array.from({ length: ingested / size }, () => new Event(size, random));
  events.forEach((event, i) => event.follow(i === 0 ? null : events[i - 1], random));
  const target = size === 64 ? '200,000' : '';
  ingestion(`messages of ${size}, decoded events in`, target, index, (holder) => {
    for (const event of events) index.stored(holder, event);
  });
  ingestion(`messages of ${size}, stored and removed`, target, index, (holder) => {
    for (const event of events) index.stored(holder, event);
    for (const { hashes } of events) {
      for (let i = 0; i < size; i++) index.removed(holder, hashes[2 * i], hashes[2 * i + 1], 0);
    }
  });
  const payloads = events.map(payloadOf);
  const counters = newCounters();
  const decoder = new KVEventDecoder(index, counters);
  ingestion(`messages of ${size}, msgpack in`, target, index, (holder) => {
    const origin = { holder, groups: new OtherGroups() };
    for (const payload of payloads) decoder.decode(payload, origin);
  });
  if (counters.blocksStored !== rounds * ingested) throw new Error('not all blocks were decoded');
}

const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
const making = new Pauses();
const storing = new Pauses();
const closing = new Pauses();
const sweeping = new Pauses();
let filled: Filled | undefined;
for (let time = 0; time < fills; time++) {
  for (const pauses of [making, storing, closing, sweeping]) pauses.again();
  const before = process.memoryUsage().rss;
  filled = fill(making, storing);
  const { index, holders } = filled;
  const grown = process.memoryUsage().rss - before;
  if (time === 0) {
    console.log('| 5 million blocks, each of one holder | target | figure |\n|---|---|---|');
    row('memory of the process', '1 GiB', mib(before + grown));
    row('of it the index', '', mib(grown));
    row('bytes a block', '', (grown / many).toFixed(1));
    row('the same by the bound stated', '', (index.bytes / many).toFixed(1));
    row('blocks taken in, refused', '', `${index.counters.blocks}, ${index.counters.refused}`);
  }
  closing.run(() => index.close(holders[0]));
  for (let more = true; more;) sweeping.run(() => void (more = index.sweep(1000)));
}
if (filled === undefined) throw new Error('no index was filled');
const { index, keys } = filled;

console.log(`\n| longest call, best of ${fills} | target | figure | calls |\n|---|---|---|---|`);
const pauses: [string, Pauses][] = [
  ['making the index', making],
  ['storing 64 blocks, from none to 5 million', storing],
  ['closing a holder of 50,000 blocks', closing],
  ['sweeping 1,000 of its entries', sweeping],
];
for (const [what, { longest, calls }] of pauses) row(what, '5 ms', `${longest.toFixed(2)} ms`, calls);

console.log('\n| lookup | target | median | best |\n|---|---|---|---|');
hashing();
lookups('held by all', () => promptBlocks);
lookups('held to uneven lengths', (endpoint, prompt) => (endpoint * 37 + prompt * 101) % (promptBlocks + 1));
const asked = keys.filter((_, i) => (4 * i) % endpoints !== 0);
timed(`keys given, 5 million blocks, ${asked.length} prompts in turn, held by one`, '', 4 * asked.length, (i) => {
  if (index.match(asked[i % asked.length], promptBlocks).blocks.indexOf(promptBlocks) < 0)
    throw new Error('a prompt is not found');
});

for (const holder of filled.holders.slice(1, 4)) index.close(holder);
while (index.sweep(1000));
console.log('\n| ingestion beside 4.8 million blocks | target | blocks/s, median | best |\n|---|---|---|---|');
for (const size of [64, 1]) ingestions(index, size);
const { orphans, malformed, removedUnknown, refused } = index.counters;
if (orphans + malformed + removedUnknown + refused > 0) throw new Error('not all events were understood');
