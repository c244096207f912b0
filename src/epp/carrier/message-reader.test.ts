import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { framed } from './carrier.fixture.ts';
import { GrpcStatus } from './carrier.ts';
import { FrameError, maxMessageBytes, MessageReader } from './message-reader.ts';

function readAll(reader: MessageReader, chunk: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  reader.feed(chunk);
  for (let message = reader.next(); message !== null; message = reader.next()) messages.push(Buffer.from(message));
  return messages;
}

function refusal(chunk: Buffer): number {
  try {
    readAll(new MessageReader(), chunk);
  } catch (error) {
    if (error instanceof FrameError) return error.status;
  }
  return GrpcStatus.ok;
}

describe('MessageReader', () => {
  it('messages that are cut anywhere come out whole and in order', () => {
    const message = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.integer({ min: 0, max: 300_000 }).map((size) => Buffer.alloc(size, size % 256)),
    );
    fc.assert(
      fc.property(fc.array(message, { maxLength: 6 }), fc.infiniteStream(fc.nat(200_000)), (messages, cuts) => {
        const bytes = Buffer.concat(messages.map((message) => framed(message)));
        const reader = new MessageReader();
        const found: Buffer[] = [];
        let at = 0;
        // Short cuts first, so that prefixes are cut too.
        for (const cut of cuts) {
          const end = at + (at < 30 ? (cut % 7) + 1 : cut + 1);
          found.push(...readAll(reader, bytes.subarray(at, end)));
          at = end;
          if (at >= bytes.length) break;
        }
        expect(found.length).toBe(messages.length);
        expect(found.every((message, index) => message.equals(messages[index] ?? Buffer.alloc(0)))).toBe(true);
        expect(reader.incomplete).toBe(false);
      }),
    );
  });

  it('a message that lies in one chunk is not copied', () => {
    const chunk = framed(Buffer.from('abc'));
    const reader = new MessageReader();
    reader.feed(chunk);
    expect(reader.next()?.buffer).toBe(chunk.buffer);
  });

  it('reads a part of a chunk, and what is kept of it after the chunk has gone', () => {
    const chunk = Buffer.concat([Buffer.of(9, 9), framed(Buffer.from('abc')), framed(Buffer.from('de')), Buffer.of(9)]);
    const reader = new MessageReader();
    reader.feed(chunk, 2, chunk.length - 1);
    expect(reader.next()?.toString()).toBe('abc');
    reader.keep();
    chunk.fill(9);
    expect([reader.next()?.toString(), reader.next(), reader.incomplete]).toEqual(['de', null, false]);
  });

  it.each([
    ['after a byte of the prefix', 1],
    ['after the prefix', 5],
    ['within the message', 7],
  ])('a message that stops %s is incomplete', (_name, length) => {
    const reader = new MessageReader();
    expect(readAll(reader, framed(Buffer.from('abc')).subarray(0, length))).toEqual([]);
    expect(reader.incomplete).toBe(true);
  });

  it('refuses compressed messages and such as are too large', () => {
    const announced = (length: number): Buffer => {
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(length, 1);
      return prefix;
    };
    expect(refusal(framed(Buffer.from('abc'), 1))).toBe(GrpcStatus.unimplemented);
    expect(refusal(announced(maxMessageBytes + 1))).toBe(GrpcStatus.resourceExhausted);
    expect(refusal(announced(0xffff_ffff))).toBe(GrpcStatus.resourceExhausted);
    expect(refusal(announced(maxMessageBytes))).toBe(GrpcStatus.ok);
  });
});
