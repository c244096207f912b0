import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

/** The shortest key that is taken, in bytes. */
export const shortestKeyBytes = 32;
const writerBytes = 16;
const counterBytes = 8;
const tagBytes = 16;
const headBytes = writerBytes + counterBytes;
const cipher = 'aes-256-gcm';
/** A format, or a way to make block keys, that changes gets another name: its entries do not open here. */
const format = 'hermes-router prefixes v1';
const mostWriters = 256;

/** The prefix key is too short to keep anything. */
export class PrefixKeyError extends Error {
  override readonly name = 'PrefixKeyError';
  constructor(bytes: number) {
    super(
      `the prefix key has ${bytes} bytes: it needs at least ${shortestKeyBytes} random ones (openssl rand -hex 32)`,
    );
  }
}

/**
 * The 32 bits that seed the block keys of every prompt, the same in all replicas with this prefix key. Throws
 * PrefixKeyError.
 */
export function promptSecretOf(prefixKey: Uint8Array): number {
  return Buffer.from(derive(prefixKey, '', `${format} prompts`)).readUInt32LE(0);
}

function derive(key: Uint8Array, salt: Uint8Array | string, info: string): Uint8Array {
  if (key.length < shortestKeyBytes) throw new PrefixKeyError(key.length);
  return new Uint8Array(hkdfSync('sha256', key, salt, info, 32));
}

/**
 * Seals what goes to the store: AES-256-GCM under a key of this writer alone (HKDF of prefix key, 16 random bytes and
 * the scope), with a counter as nonce, so that no nonce is used twice however many replicas write.
 */
export class Sealer {
  readonly writer = randomBytes(writerBytes);
  private readonly key: Uint8Array;
  private counter = 0;

  /** `scope`: name of the stream; what was sealed for another one does not open. */
  constructor(prefixKey: Uint8Array, scope: string) {
    this.key = derive(prefixKey, this.writer, `${format} ${scope}`);
  }

  seal(plain: Uint8Array): Buffer {
    this.counter += 1;
    const head = Buffer.alloc(headBytes);
    this.writer.copy(head);
    head.writeBigUInt64LE(BigInt(this.counter), writerBytes);
    const sealing = createCipheriv(cipher, this.key, nonceOf(head));
    return Buffer.concat([head, sealing.update(plain), sealing.final(), sealing.getAuthTag()]);
  }
}

/** What was in a sealed entry. */
export interface Opened {
  /** Who wrote it, in hex. */
  readonly writer: string;
  /** Grows by one with each entry of a writer. */
  readonly counter: number;
  readonly plain: Buffer;
}

/** Opens what replicas with the same prefix key have sealed for the same scope. */
export class Unsealer {
  private readonly prefixKey: Uint8Array;
  private readonly scope: string;
  private readonly keys = new Map<string, Uint8Array>();

  constructor(prefixKey: Uint8Array, scope: string) {
    this.prefixKey = prefixKey;
    this.scope = scope;
  }

  /** Null for what is none of ours: another key, another format, forged, cut off. */
  open(sealed: Buffer): Opened | null {
    if (sealed.length < headBytes + tagBytes) return null;
    const writer = sealed.toString('hex', 0, writerBytes);
    const opening = createDecipheriv(cipher, this.keyOf(writer, sealed), nonceOf(sealed), { authTagLength: tagBytes });
    opening.setAuthTag(sealed.subarray(sealed.length - tagBytes));
    const start = opening.update(sealed.subarray(headBytes, sealed.length - tagBytes));
    try {
      const plain = Buffer.concat([start, opening.final()]);
      return { writer, counter: Number(sealed.readBigUInt64LE(writerBytes)), plain };
    } catch {
      // The tag does not fit: the caller counts it.
      return null;
    }
  }

  private keyOf(writer: string, sealed: Buffer): Uint8Array {
    const known = this.keys.get(writer);
    if (known !== undefined) return known;
    // Rarely: a process is one writer. Deriving them again costs microseconds.
    if (this.keys.size >= mostWriters) this.keys.clear();
    const key = derive(this.prefixKey, sealed.subarray(0, writerBytes), `${format} ${this.scope}`);
    this.keys.set(writer, key);
    return key;
  }
}

/** 96 bits: the counter, then zeros. */
function nonceOf(head: Buffer): Uint8Array {
  const nonce = new Uint8Array(12);
  nonce.set(head.subarray(writerBytes, headBytes));
  return nonce;
}
