import { setImmediate as breath } from 'node:timers/promises';
import type { Connect, StoreConnection } from './connection.ts';
import { entriesOf, entriesOfRead, entryField, greetingField, isLater, type StreamEntry } from './entries.ts';
import { Ledger } from './ledger.ts';
import type { Reply } from './resp.ts';
import { StoreError } from './store-error.ts';

/** Entries of one read: half a megabyte. */
const batchSize = '16';
/** Milliseconds that a read waits for news at the server, and that any command may take besides. */
const patience = 2_000;
const deadline = 4_000;
/** Milliseconds between two times that the stream is told when to expire. */
const houseInterval = 60_000;
/** Whatever the ledgers say, the stream has no more entries than about these. */
const mostEntries = '200000';

/** Where this replica is in the stream; outlives connections. */
export interface Place {
  /** Id of the last entry taken in. */
  position: string;
  /** Whether the stream has been read to its end once. */
  warm: boolean;
  readonly ledger: Ledger;
}

export interface SessionOptions {
  readonly connect: Connect;
  /** Key of the stream. */
  readonly stream: string;
  /** Milliseconds after which a stream that nobody writes to is gone, and that entries are kept. */
  readonly keepFor: number;
  readonly place: Place;
  readonly now: () => number;
  readonly onReady: () => void;
  readonly onWarm: () => void;
  readonly onEntry: (sealed: Buffer) => void;
  /** The next entry to write, or null. */
  readonly next: () => Uint8Array | null;
  readonly onWritten: (entry: Uint8Array) => void;
  /** Slots of engines whose entries are to be read once more, or null. */
  readonly takeRecall: () => ReadonlySet<number> | null;
  readonly onRecalled: (sealed: Buffer, slots: ReadonlySet<number>) => void;
}

/** One time of being connected: a connection that reads, for reads wait at the server, and one for all else. */
export class Session {
  private readonly options: SessionOptions;
  private reader: StoreConnection | null = null;
  private writer: StoreConnection | null = null;
  private closed = false;
  private trimTo: string | null = null;
  private nextHousekeeping = 0;
  private ring: (() => void) | null = null;

  constructor(options: SessionOptions) {
    this.options = options;
  }

  /** Reads and writes until something fails; rejects with a StoreError. */
  async run(): Promise<never> {
    try {
      this.writer = await this.open();
      // Rights, memory, a replica that takes no writes: seen before anybody relies on it.
      await this.write(this.writer, greetingField, '1');
      await this.findPlace(this.writer);
      this.reader = await this.open();
      this.options.onReady();
      return await Promise.race([this.read(this.reader), this.work(this.writer)]);
    } finally {
      this.close();
    }
  }

  /** There is something to write, to trim or to recall. */
  wake(): void {
    this.ring?.();
    this.ring = null;
  }

  close(): void {
    this.closed = true;
    this.reader?.close();
    this.writer?.close();
    this.wake();
  }

  private async open(): Promise<StoreConnection> {
    const connection = await this.options.connect();
    if (!this.closed) return connection;
    connection.close();
    throw new StoreError('Unreachable', 'closed');
  }

  /** Ids that are beyond the stream's last one are of another stream: one restored, or of a server whose clock was ahead. */
  private async findPlace(writer: StoreConnection): Promise<void> {
    const { stream, place } = this.options;
    const [last] = entriesOf(await writer.call(['XREVRANGE', stream, '+', '-', 'COUNT', '1'], deadline));
    if (last !== undefined && !isLater(place.position, last.id)) return;
    place.position = '0-0';
    place.ledger.clear();
  }

  private async read(reader: StoreConnection): Promise<never> {
    const { stream, place } = this.options;
    for (;;) {
      const waiting = place.warm ? ['BLOCK', String(patience)] : [];
      const command = ['XREAD', 'COUNT', batchSize, ...waiting, 'STREAMS', stream, place.position];
      const entries = entriesOfRead(await reader.call(command, patience + deadline));
      for (const entry of entries) await this.take(entry);
      if (entries.length === 0 && !place.warm) {
        place.warm = true;
        this.options.onWarm();
      }
      this.trimTo = place.ledger.trim() ?? this.trimTo;
      if (this.trimTo !== null) this.wake();
    }
  }

  private async take({ id, sealed, bytes }: StreamEntry): Promise<void> {
    const { place, onEntry } = this.options;
    place.position = id;
    place.ledger.add(id, bytes);
    if (sealed !== null) onEntry(sealed);
    // Requests go between two entries: a replica that warms up serves.
    await breath();
  }

  private async work(writer: StoreConnection): Promise<never> {
    for (;;) {
      const busy = (await this.writeNext(writer)) || (await this.keepHouse(writer)) || (await this.recall(writer));
      if (this.closed) throw new StoreError('Unreachable', 'closed');
      if (!busy) await new Promise<void>((resolve) => (this.ring = resolve));
    }
  }

  private async writeNext(writer: StoreConnection): Promise<boolean> {
    const entry = this.options.next();
    if (entry === null) return false;
    await this.write(writer, entryField, entry);
    this.options.onWritten(entry);
    return true;
  }

  private write(writer: StoreConnection, field: string, value: Uint8Array | string): Promise<Reply> {
    const { stream } = this.options;
    return writer.call(['XADD', stream, 'MAXLEN', '~', mostEntries, '*', field, value], deadline);
  }

  private async keepHouse(writer: StoreConnection): Promise<boolean> {
    const { stream, now, keepFor } = this.options;
    const { trimTo } = this;
    const due = now() >= this.nextHousekeeping;
    if (trimTo === null && !due) return false;
    this.trimTo = null;
    if (trimTo !== null) await writer.call(['XTRIM', stream, 'MINID', '~', trimTo], deadline);
    if (due) {
      await writer.call(['PEXPIRE', stream, String(keepFor)], deadline);
      this.nextHousekeeping = now() + houseInterval;
    }
    return true;
  }

  /** Reads again what is in the stream of engines that were not known when it came. */
  private async recall(writer: StoreConnection): Promise<boolean> {
    const { takeRecall, onRecalled, place, stream } = this.options;
    const slots = place.warm ? takeRecall() : null;
    if (slots === null) return false;
    const end = place.position;
    for (let from = '-'; ;) {
      const entries = entriesOf(await writer.call(['XRANGE', stream, from, end, 'COUNT', batchSize], deadline));
      for (const { sealed } of entries) {
        if (sealed !== null) onRecalled(sealed, slots);
        await breath();
      }
      const last = entries.at(-1);
      if (last === undefined || last.id === end) return true;
      from = `(${last.id}`;
    }
  }
}
