import { encode } from '@msgpack/msgpack';
import type { Publisher } from 'zeromq';

const topic = 'kv-events';

/** One event as an engine would write it, or as none ever would. */
export type RawEvent = Readonly<Record<string, unknown>>;

/** Publishes as KV events whatever a test wants. */
export class RawPublisher {
  readonly kvEvents: { readonly events: string; readonly replay: null };
  private readonly socket: Publisher;
  private next = 0n;

  private constructor(socket: Publisher) {
    this.socket = socket;
    this.kvEvents = { events: socket.lastEndpoint ?? '', replay: null };
  }

  static async start(): Promise<RawPublisher> {
    const { Publisher } = await import('zeromq');
    const socket = new Publisher({ sendHighWaterMark: 100_000, linger: 0 });
    await socket.bind('tcp://127.0.0.1:0');
    return new RawPublisher(socket);
  }

  /** A batch in good order of events that need not be. */
  async publish(...events: readonly RawEvent[]): Promise<void> {
    const payload = encode([Date.now() / 1000, events, 0], { useBigInt64: true });
    await this.frames([Buffer.from(topic), this.number(), Buffer.from(payload)]);
  }

  /** The number of the next batch, as a frame. */
  number(): Buffer {
    const frame = Buffer.alloc(8);
    frame.writeBigUInt64BE(this.next);
    this.next += 1n;
    return frame;
  }

  /** A message of these frames, of which the first should begin with the topic: others reach nobody. */
  async frames(frames: readonly Buffer[]): Promise<void> {
    await this.socket.send([...frames]);
  }

  close(): Promise<void> {
    this.socket.close();
    return Promise.resolve();
  }
}

/** Blocks that somebody has stored. */
export function storedEvent(hashes: readonly bigint[], tokens: readonly number[], blockSize: unknown): RawEvent {
  return {
    type: 'BlockStored',
    block_hashes: hashes,
    parent_block_hash: null,
    token_ids: tokens,
    block_size: blockSize,
    lora_id: null,
    medium: 'GPU',
    lora_name: null,
  };
}
