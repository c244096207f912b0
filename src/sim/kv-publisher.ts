import type { Publisher, Router } from 'zeromq';

/** Where KV events come out; port 0 in the addresses asked for picks a free one. */
export interface KvEventAddresses {
  readonly events: string;
  readonly replay: string | null;
}

/** Batches kept for replay. */
export const replayBatches = 2_000;
export const eventTopic = 'kv-events';

const highWaterMark = 100_000;
const endOfReplay = Buffer.alloc(8, 0xff);
const empty = Buffer.alloc(0);

interface Batch {
  readonly sequence: Buffer;
  readonly payload: Uint8Array;
}

/** vLLM's ZMQ publisher: frames `[topic][sequence, 64 bits big-endian][payload]`, and a ROUTER that replays recent batches. */
export class KvEventPublisher {
  readonly addresses: KvEventAddresses;
  private readonly publisher: Publisher;
  private readonly router: Router | null;
  private readonly onError: (error: unknown) => void;
  private readonly recent: Batch[] = [];
  private readonly unsent: Batch[] = [];
  private next = 0n;
  private sending = false;
  private closed = false;

  /** zeromq is loaded here only, so that an engine without events needs no native module. */
  static async bind(asked: KvEventAddresses, onError: (error: unknown) => void): Promise<KvEventPublisher> {
    const zmq = await import('zeromq');
    const publisher = new zmq.Publisher({ sendHighWaterMark: highWaterMark, linger: 0 });
    const router = asked.replay === null ? null : new zmq.Router({ linger: 0 });
    try {
      await publisher.bind(asked.events);
      if (router !== null && asked.replay !== null) await router.bind(asked.replay);
    } catch (error) {
      publisher.close();
      router?.close();
      throw error;
    }
    return new KvEventPublisher(publisher, router, onError);
  }

  private constructor(publisher: Publisher, router: Router | null, onError: (error: unknown) => void) {
    this.publisher = publisher;
    this.router = router;
    this.onError = onError;
    this.addresses = { events: publisher.lastEndpoint ?? '', replay: router?.lastEndpoint ?? null };
    if (router !== null) this.serveReplay(router).catch(this.failed);
  }

  publish(payload: Uint8Array): void {
    const sequence = Buffer.alloc(8);
    sequence.writeBigUInt64BE(this.next);
    this.next += 1n;
    const batch = { sequence, payload };
    this.recent.push(batch);
    if (this.recent.length > replayBatches) this.recent.shift();
    this.unsent.push(batch);
    if (!this.sending) this.sendAll().catch(this.failed);
  }

  close(): void {
    this.closed = true;
    this.publisher.close();
    this.router?.close();
  }

  /** A socket takes one send at a time. */
  private async sendAll(): Promise<void> {
    this.sending = true;
    try {
      for (let batch = this.unsent.shift(); batch !== undefined && !this.closed; batch = this.unsent.shift()) {
        await this.publisher.send([eventTopic, batch.sequence, batch.payload]);
      }
    } finally {
      this.sending = false;
    }
  }

  /** Answers `(client, empty, first sequence)` with every batch kept from there on, then an end mark. */
  private async serveReplay(router: Router): Promise<void> {
    for await (const [client, , start] of router) {
      if (start === undefined || start.length !== 8) continue;
      const first = start.readBigUInt64BE();
      for (const { sequence, payload } of [...this.recent]) {
        if (sequence.readBigUInt64BE() < first) continue;
        await router.send([client, empty, eventTopic, sequence, payload]);
      }
      await router.send([client, empty, empty, endOfReplay, empty]);
    }
  }

  private readonly failed = (error: unknown): void => {
    if (!this.closed) this.onError(error);
  };
}
