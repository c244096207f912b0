/** What a peer may still send, of a stream or of its connection, and what it gets back of it. */
export class ReceiveWindow {
  private readonly size: number;
  /** Bytes that may come. */
  private left: number;
  /** Bytes that have been read and were not given back. */
  private owed = 0;

  constructor(size: number) {
    this.size = size;
    this.left = size;
  }

  /** Bytes have come; false when they are more than was allowed. */
  take(bytes: number): boolean {
    this.left -= bytes;
    return this.left >= 0;
  }

  /** Bytes have been read; returns what the peer is to be given back now, which is 0 until half of the window is. */
  read(bytes: number): number {
    this.owed += bytes;
    if (this.owed * 2 < this.size) return 0;
    const back = this.owed;
    this.owed = 0;
    this.left += back;
    return back;
  }
}
