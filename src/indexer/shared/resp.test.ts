import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeCommand, ReplyReader, type Reply } from './resp.ts';
import { StoreError } from './store-error.ts';

/** What a reader makes of bytes that come in pieces of that size. */
function read(bytes: string | Buffer, pieces = Infinity): Reply[] {
  const all = Buffer.from(bytes);
  const reader = new ReplyReader();
  const replies: Reply[] = [];
  for (let at = 0; at < all.length; at += pieces) {
    reader.push(all.subarray(at, at + pieces), (reply) => replies.push(reply));
  }
  return replies;
}

const text = (reply: Reply): unknown =>
  Buffer.isBuffer(reply) ? reply.toString() : Array.isArray(reply) ? reply.map(text) : reply;

describe('ReplyReader', () => {
  const replies: [string, string, unknown[]][] = [
    ['simple strings', '+OK\r\n+PONG\r\n', ['OK', 'PONG']],
    ['numbers', ':-12\r\n', [-12]],
    ['strings, with line ends inside', '$4\r\na\r\nb\r\n', ['a\r\nb']],
    ['no string and no array', '$-1\r\n*-1\r\n', [null, null]],
    ['arrays in arrays', '*2\r\n*1\r\n$1\r\nx\r\n*0\r\n', [[['x'], []]]],
    ['nothing of what is not whole', '+OK\r\n$5\r\nab', ['OK']],
  ];
  it.each(replies)('reads %s, in whatever pieces they come', (_name, bytes, expected) => {
    for (const pieces of [1, 2, 3, 7, Infinity]) expect(read(bytes, pieces).map(text)).toEqual(expected);
  });

  it('reads errors as what they are about', () => {
    const troubles = (line: string) => read(line).map((reply) => reply instanceof StoreError && reply.trouble);
    expect(troubles('-WRONGPASS no\r\n-NOPERM x\r\n-NOAUTH x\r\n-ERR invalid password\r\n')).toEqual(
      Array(4).fill('Refused'),
    );
    expect(troubles('-OOM x\r\n-LOADING x\r\n-READONLY\r\n')).toEqual(Array(3).fill('Failing'));
  });

  it.each([
    ['an unknown type', 'HTTP/1.1 400\r\n'],
    ['a length that is none', '$x\r\n'],
    ['a negative length', '*-5\r\n'],
    ['a string longer than any of ours', '$8388609\r\n'],
    ['an array longer than any of ours', '*65537\r\n'],
    ['arrays that sum up', '*2\r\n'.repeat(3) + '*65535\r\n'],
    ['arrays nested too deeply', '*1\r\n'.repeat(9)],
    ['a line without an end', '+' + 'x'.repeat(2000)],
    ['a line that ends with LF only', '+OK\n'],
    ['a string that is longer than it says', '$2\r\nabc\r\n'],
  ])('refuses %s', (_name, bytes) => {
    expect(() => read(bytes)).toThrow(StoreError);
  });

  it('reads what commands are written as, and ends in replies or a StoreError whatever it is given', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array(), { minLength: 1 }), fc.integer({ min: 1, max: 50 }), (args, pieces) => {
        expect(read(encodeCommand(args), pieces)).toEqual([args.map((arg) => Buffer.from(arg))]);
      }),
    );
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.stringMatching(/^[-+:$*0-9\r\nab]{0,40}$/));
    fc.assert(
      fc.property(bytes, (rubbish) => {
        try {
          read(Buffer.from(rubbish));
        } catch (error) {
          expect(error).toBeInstanceOf(StoreError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
