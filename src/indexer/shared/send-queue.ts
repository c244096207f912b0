/** Entries that wait for the store, the oldest first; beyond the limit the oldest are dropped. */
export class SendQueue {
  private readonly limitBytes: number;
  private readonly onDrop: () => void;
  private entries: Uint8Array[] = [];
  private held = 0;

  constructor(limitBytes: number, onDrop: () => void) {
    this.limitBytes = limitBytes;
    this.onDrop = onDrop;
  }

  get bytes(): number {
    return this.held;
  }

  get first(): Uint8Array | null {
    return this.entries[0] ?? null;
  }

  add(entry: Uint8Array): void {
    this.entries.push(entry);
    this.held += entry.length;
    while (this.held > this.limitBytes && this.entries.length > 1) {
      this.remove(this.entries[0]);
      this.onDrop();
    }
  }

  /** The entry is in the store; one that has been dropped meanwhile is no matter. */
  remove(entry: Uint8Array): void {
    const at = this.entries.indexOf(entry);
    if (at < 0) return;
    this.entries.splice(at, 1);
    this.held -= entry.length;
  }
}
