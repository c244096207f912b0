import { describe, expect, it } from 'vitest';
import { HpackDecoder } from './hpack-decoder.ts';
import { ConnectionError, ErrorCode } from './protocol.ts';

const bytesOf = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');

/** The fields of a block, a line each. */
function read(decoder: HpackDecoder, hex: string): string[] {
  const lines: string[] = [];
  // Where it stands must not matter.
  const bytes = Buffer.concat([Buffer.alloc(3, 0xff), bytesOf(hex), Buffer.alloc(3, 0xff)]);
  decoder.decode(bytes, 3, bytes.length - 3, { onField: ({ name, value }) => lines.push(`${name}: ${value}`) });
  return lines;
}

const get = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'];
const custom = [':method: GET', ':scheme: https', ':path: /index.html', ':authority: www.example.com'];
const date = (second: number): string => `date: Mon, 21 Oct 2013 20:13:${second} GMT`;
const [location, isPrivate] = ['location: https://www.example.com', 'cache-control: private'];
const responses = [
  [':status: 302', isPrivate, date(21), location],
  [':status: 307', isPrivate, date(21), location],
  [
    ':status: 200',
    isPrivate,
    date(22),
    location,
    'content-encoding: gzip',
    'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
  ],
];

describe('the examples of RFC 7541, Appendix C', () => {
  const examples: Record<string, { blocks: string[]; fields: string[][] }> = {
    'C.2.1: a literal with indexing': {
      blocks: ['400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572'],
      fields: [['custom-key: custom-header']],
    },
    'C.2.2: a literal without indexing': {
      blocks: ['040c 2f73 616d 706c 652f 7061 7468'],
      fields: [[':path: /sample/path']],
    },
    'C.2.3: a literal never indexed': {
      blocks: ['1008 7061 7373 776f 7264 0673 6563 7265 74'],
      fields: [['password: secret']],
    },
    'C.2.4: an indexed field': { blocks: ['82'], fields: [[':method: GET']] },
    'C.3: requests without Huffman': {
      blocks: [
        '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
        '8286 84be 5808 6e6f 2d63 6163 6865',
        '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
      ],
      fields: [get, [...get, 'cache-control: no-cache'], [...custom, 'custom-key: custom-value']],
    },
    'C.4: requests with Huffman': {
      blocks: [
        '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
        '8286 84be 5886 a8eb 1064 9cbf',
        '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
      ],
      fields: [get, [...get, 'cache-control: no-cache'], [...custom, 'custom-key: custom-value']],
    },
    // The table has 256 bytes there, so that entries are evicted: 3fe101 says so.
    'C.5: responses without Huffman': {
      blocks: [
        '3fe1 01 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
        '4803 3330 37c1 c0bf',
        '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
      ],
      fields: responses,
    },
    'C.6: responses with Huffman': {
      blocks: [
        '3fe1 01 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
        '4883 640e ffc1 c0bf',
        '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
      ],
      fields: responses,
    },
  };
  it.each(Object.entries(examples))('%s', (_name, { blocks, fields }) => {
    const decoder = new HpackDecoder();
    expect(blocks.map((block) => read(decoder, block))).toEqual(fields);
  });
});

describe('a header block', () => {
  it('may make the table smaller and larger before its first field, and empties it by that', () => {
    const decoder = new HpackDecoder();
    read(decoder, '400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65');
    expect(read(decoder, 'be')).toEqual(['custom-key: custom-value']);
    expect(read(decoder, '20 3fe1 1f 82')).toEqual([':method: GET']);
    expect(() => read(decoder, 'be')).toThrow('in no table');
  });

  it('that is cut off anywhere is refused or shorter, and never more than it is', () => {
    const whole = bytesOf('8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff');
    for (let end = 0; end < whole.length; end += 1) {
      const found: string[] = [];
      try {
        found.push(...read(new HpackDecoder(), whole.subarray(0, end).toString('hex')));
      } catch (error) {
        expect(error).toBeInstanceOf(ConnectionError);
      }
      expect(get.slice(0, 3)).toEqual(expect.arrayContaining(found));
    }
  });

  const faults: Record<string, string> = {
    'the index 0': '80',
    'an index behind the tables': 'be',
    'a name behind the tables': '7e 01 61',
    'an index that never ends': 'ff80 8080 8080 8080 8080 8080 00',
    'an index of more than we count': 'ffff ffff ffff 7f',
    'a size behind more zeros than any needs': '3f80 8080 8080 8000',
    'a string longer than the block': '0003 6162',
    'a length that is cut off': '007f',
    'a name without a value': '0001 61',
    'a code that pads with zeros': '0001 6181 18',
    'a code that pads with a whole byte': '0001 6182 1fff',
    'a code that ends its string': '0001 6184 ffff ffff',
    'a size of the table behind a field': '8220',
    'a table of more than we offer': '3fe2 1f',
  };
  it.each(Object.entries(faults))('with %s ends the connection', (_name, hex) => {
    try {
      read(new HpackDecoder(), hex);
      expect.unreachable('it was read');
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      expect(error.code).toBe(ErrorCode.compressionError);
    }
  });
});
