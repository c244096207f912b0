/** Time, injected wherever it is read so that tests never sleep. */
export interface Clock {
  /** Milliseconds, monotonic, from an arbitrary start above 0. */
  now(): number;
  /** Calls back once after so many milliseconds; the returned function cancels it. Never keeps a process alive. */
  after(milliseconds: number, callback: () => void): () => void;
}
