import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BatchWriter, keysPerBatch, readBatch } from './batch.ts';

const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const engine = fc.record({ low: word, high: fc.nat(3), life: fc.double({ noNaN: true, noDefaultInfinity: true }) });
const told = fc.record({
  engine,
  keys: fc.uint32Array({ minLength: 2, maxLength: 40 }),
  from: fc.nat(9),
  forget: fc.boolean(),
});

describe('a batch', () => {
  it('reads as it was written', () => {
    fc.assert(
      fc.property(fc.array(told, { maxLength: 20 }), (list) => {
        const writer = new BatchWriter();
        const expected = list.map(({ engine, keys, from: wanted, forget }) => {
          const blocks = Math.floor(keys.length / 2);
          const from = Math.min(wanted, blocks - 1);
          if (forget) writer.forget(engine);
          else writer.add(engine, keys, from, blocks);
          const sent = forget ? new Uint32Array() : keys.slice(2 * Math.max(0, from - 1), 2 * blocks);
          return { engine: { ...engine, life: engine.life }, forget, extends: !forget && from > 0, keys: sent };
        });
        expect(readBatch(Buffer.from(writer.take()))).toEqual(expected);
        expect([writer.empty, writer.room]).toEqual([true, keysPerBatch]);
      }),
    );
  });

  it('is null where it is none, whatever the bytes', () => {
    const writer = new BatchWriter();
    writer.add({ low: 1, high: 2, life: 3 }, Uint32Array.of(1, 2, 3, 4), 0, 2);
    const good = writer.take();
    expect(readBatch(good)).not.toBeNull();
    for (const [at, value] of [[0, 2], [0, 255], [4, 7], [8, 1], [32, 1], [36, 1], [36, 99]]) {
      const bad = good.slice();
      bad[at] = value;
      expect(readBatch(bad), `byte ${at} as ${value}`).toBeNull();
    } // prettier-ignore
    expect(readBatch(good.subarray(8))).toBeNull();
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void readBatch(bytes)));
  });
});
