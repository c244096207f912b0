import type { Http2Stream } from './stream.ts';

/** The open streams of a connection, and which there have been. */
export class StreamTable {
  private readonly open = new Map<number, Http2Stream>();
  /** The last that the peer has opened, and the last of those that we took. */
  private last = 0;
  private lastTaken = 0;

  get size(): number {
    return this.open.size;
  }

  get taken(): number {
    return this.lastTaken;
  }

  get(id: number): Http2Stream | undefined {
    return this.open.get(id);
  }

  /** Whether a stream has not been opened yet; only its peer's streams, which are odd, can be. */
  isIdle(id: number): boolean {
    return id > this.last || id % 2 === 0;
  }

  /** The peer has opened a stream; all idle ones before it are closed by that. */
  note(id: number): void {
    this.last = id;
  }

  add(stream: Http2Stream): void {
    this.lastTaken = stream.id;
    this.open.set(stream.id, stream);
  }

  delete(stream: Http2Stream): void {
    this.open.delete(stream.id);
  }

  all(): IterableIterator<Http2Stream> {
    return this.open.values();
  }
}
