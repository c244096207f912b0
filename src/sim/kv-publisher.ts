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

interface Sockets {
  readonly publisher: Publisher;
  readonly router: Router | null;
}

/**
 * vLLM's ZMQ publisher: frames `[topic][sequence, 64 bits big-endian][payload]`, and a ROUTER that replays recent batches.
 * Fails on demand: it can lose batches and die and come back as a new engine's.
 */
export class KvEventPublisher {
  readonly addresses: KvEventAddresses;
  private readonly onError: (error: unknown) => void;
  private sockets: Sockets | null;
  private readonly recent: Batch[] = [];
  private readonly unsent: Batch[] = [];
  private next = 0n;
  private toLose = 0;
  private sending = false;
  private closed = false;

  /** zeromq is loaded here only, so that an engine without events needs no native module. */
  static async bind(asked: KvEventAddresses, onError: (error: unknown) => void): Promise<KvEventPublisher> {
    return new KvEventPublisher(await openSockets(asked), onError);
  }

  private constructor(sockets: Sockets, onError: (error: unknown) => void) {
    this.sockets = sockets;
    this.onError = onError;
    const { publisher, router } = sockets;
    this.addresses = { events: publisher.lastEndpoint ?? '', replay: router?.lastEndpoint ?? null };
    this.begin(sockets);
  }

  publish(payload: Uint8Array): void {
    const sequence = Buffer.alloc(8);
    sequence.writeBigUInt64BE(this.next);
    this.next += 1n;
    const batch = { sequence, payload };
    this.recent.push(batch);
    if (this.recent.length > replayBatches) this.recent.shift();
    if (this.toLose > 0) {
      this.toLose -= 1;
      return;
    }
    this.unsent.push(batch);
    if (this.sockets !== null && !this.sending) this.sendAll(this.sockets).catch(this.failed);
  }

  /** So many further batches get their numbers and are not sent; a replay still has them. */
  lose(batches: number): void {
    this.toLose = batches;
  }

  /** As if the engine's process had died: connections end, numbers start at 0 again, nothing can be replayed. */
  kill(): void {
    this.sockets?.publisher.close();
    this.sockets?.router?.close();
    this.sockets = null;
    this.recent.length = 0;
    this.unsent.length = 0;
    this.next = 0n;
  }

  /** After `kill`: listens on the same ports again. What was published meanwhile is the new engine's. */
  async revive(): Promise<void> {
    const sockets = await openAgain(this.addresses);
    this.sockets = sockets;
    if (this.closed) this.close();
    else this.begin(sockets);
  }

  close(): void {
    this.closed = true;
    this.kill();
  }

  private begin(sockets: Sockets): void {
    if (sockets.router !== null) this.serveReplay(sockets, sockets.router).catch(this.failed);
    if (!this.sending) this.sendAll(sockets).catch(this.failed);
  }

  /** A socket takes one send at a time. */
  private async sendAll(sockets: Sockets): Promise<void> {
    this.sending = true;
    try {
      while (this.sockets === sockets) {
        const batch = this.unsent.shift();
        if (batch === undefined) break;
        await sockets.publisher.send([eventTopic, batch.sequence, batch.payload]);
      }
    } catch (error) {
      // A killed publisher's last batch is lost, as it would be.
      if (this.sockets === sockets) throw error;
    } finally {
      this.sending = false;
    }
    if (this.sockets !== null && this.unsent.length > 0) await this.sendAll(this.sockets);
  }

  /** Answers `(client, empty, first sequence)` with every batch kept from there on, then an end mark. */
  private async serveReplay(sockets: Sockets, router: Router): Promise<void> {
    try {
      for await (const [client, , start] of router) {
        if (start !== undefined && start.length === 8) await this.answer(router, client, start.readBigUInt64BE());
      }
    } catch (error) {
      if (this.sockets === sockets) throw error;
    }
  }

  private async answer(router: Router, client: Buffer, first: bigint): Promise<void> {
    for (const { sequence, payload } of [...this.recent]) {
      if (sequence.readBigUInt64BE() >= first) await router.send([client, empty, eventTopic, sequence, payload]);
    }
    await router.send([client, empty, empty, endOfReplay, empty]);
  }

  private readonly failed = (error: unknown): void => {
    if (!this.closed) this.onError(error);
  };
}

async function openSockets(asked: KvEventAddresses): Promise<Sockets> {
  const zmq = await import('zeromq');
  const publisher = new zmq.Publisher({ sendHighWaterMark: highWaterMark, linger: 0 });
  const router = asked.replay === null ? null : new zmq.Router({ sendHighWaterMark: highWaterMark, linger: 0 });
  try {
    await publisher.bind(asked.events);
    if (router !== null && asked.replay !== null) await router.bind(asked.replay);
  } catch (error) {
    publisher.close();
    router?.close();
    throw error;
  }
  return { publisher, router };
}

/** libzmq gives up a closed socket's port a little later, in a thread of its own. */
async function openAgain(addresses: KvEventAddresses): Promise<Sockets> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await openSockets(addresses);
    } catch (error) {
      if (attempt >= 1_000) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}
