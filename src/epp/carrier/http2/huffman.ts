import { huffmanLengths } from './huffman-lengths.ts';

const endOfString = 256;
const ways = 16;
const none = -1;

/** A tree of codes: what follows a node on a 0 and on a 1; a node, or a leaf as `leaf(symbol)`. */
const children: [number, number][] = [[0, 0]];
const leaf = (symbol: number): number => none - symbol;
const symbolOf = (child: number): number => none - child;

for (const [symbol, code, length] of canonicalCodes()) plant(symbol, code, length);

/** By node and next four bits: the node after them (`none` where no code goes that way), and the byte that they end. */
const nextNode = new Int16Array(children.length * ways);
const ended = new Int16Array(children.length * ways);
for (let node = 0; node < children.length; node += 1) {
  for (let bits = 0; bits < ways; bits += 1) walk(node, bits);
}

/** Nodes at which a string may end: less than eight 1s behind the last code. */
const accepting = new Set<number>();
for (let node = 0, depth = 0; depth < 8; depth += 1, node = children[node]?.[1] ?? 0) accepting.add(node);

/**
 * Decodes bytes[start, end) into `out`, which has room for 8/5 of them; returns the position behind the last byte, or -1
 * where they are no code.
 */
export function huffmanDecode(bytes: Buffer, start: number, end: number, out: Buffer): number {
  let node = 0;
  let length = 0;
  for (let half = start * 2; half < end * 2; half += 1) {
    const byte = bytes[half >> 1] ?? 0;
    const way = node * ways + ((half & 1) === 0 ? byte >> 4 : byte & 15);
    const symbol = ended[way] ?? none;
    node = nextNode[way] ?? none;
    if (node === none) return none;
    if (symbol !== none) out[length++] = symbol;
  }
  return accepting.has(node) ? length : none;
}

/** Symbol, code and bits of the code. */
function* canonicalCodes(): Generator<[number, number, number]> {
  let code = 0;
  for (let length = 1; length <= 30; length += 1) {
    for (const [symbol, bits] of huffmanLengths.entries()) {
      if (bits === length) yield [symbol, code++, length];
    }
    code *= 2;
  }
}

function plant(symbol: number, code: number, length: number): void {
  let node = 0;
  for (let bit = length - 1; bit > 0; bit -= 1) node = grown(node, (code >> bit) & 1);
  const last = children[node];
  if (last !== undefined) last[code & 1] = leaf(symbol);
}

function grown(node: number, bit: number): number {
  const pair = children[node] ?? [0, 0];
  if (pair[bit] === 0) pair[bit] = children.push([0, 0]) - 1;
  return pair[bit] ?? 0;
}

/** No code is shorter than five bits, so four bits end one byte at most. */
function walk(from: number, bits: number): void {
  const way = from * ways + bits;
  let node = from;
  let symbol = none;
  for (let bit = 3; bit >= 0 && node !== none; bit -= 1) {
    const child = children[node]?.[(bits >> bit) & 1] ?? 0;
    if (child >= 0) node = child;
    else if (symbolOf(child) === endOfString) node = none;
    else {
      symbol = symbolOf(child);
      node = 0;
    }
  }
  nextNode[way] = node;
  ended[way] = symbol;
}
