import type { Dispatcher } from 'undici';

/** How one request went; times are wall milliseconds from the moment it was sent. */
export interface Exchanged {
  /** What went wrong, in a few words; null when the stream came to its proper end. */
  readonly failure: string | null;
  readonly firstTokenMilliseconds: number;
  readonly milliseconds: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
}

const chunksKept = 16;
const endMark = 'data: [DONE]';

/**
 * Reads a chat stream with as little work as possible: the time of its first bytes of body, and at its end the usage event out
 * of the last chunks. What lies between is never parsed.
 */
export class StreamReader implements Dispatcher.DispatchHandler {
  private readonly done: (result: Exchanged) => void;
  private readonly sentAt = performance.now();
  private firstAt = 0;
  private status = 0;
  private readonly lastChunks: Buffer[] = [];

  constructor(done: (result: Exchanged) => void) {
    this.done = done;
  }

  onRequestStart(): void {
    // Part of the contract; there is nothing to prepare.
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.status = status;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.firstAt === 0) this.firstAt = performance.now();
    this.lastChunks.push(chunk);
    if (this.lastChunks.length > chunksKept) this.lastChunks.shift();
  }

  onResponseEnd(): void {
    const tail = Buffer.concat(this.lastChunks).toString('latin1');
    if (this.status !== 200) this.end(`status ${this.status}`, tail);
    else if (tail.trimEnd().endsWith(endMark)) this.end(null, tail);
    else this.end('stream without an end', tail);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.end('code' in error ? String(error.code) : error.message, '');
  }

  private end(failure: string | null, tail: string): void {
    this.done({
      failure,
      firstTokenMilliseconds: this.firstAt - this.sentAt,
      milliseconds: performance.now() - this.sentAt,
      promptTokens: numberAfter(tail, '"prompt_tokens":'),
      cachedTokens: numberAfter(tail, '"cached_tokens":'),
      outputTokens: numberAfter(tail, '"completion_tokens":'),
    });
  }
}

/** The number behind the last occurrence of a key; 0 where there is none. */
function numberAfter(text: string, key: string): number {
  const at = text.lastIndexOf(key);
  return at < 0 ? 0 : Number.parseInt(text.slice(at + key.length, at + key.length + 16), 10);
}
