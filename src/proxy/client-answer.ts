import type { RoutingError } from '../router/errors.ts';
import { errorEvent } from '../openai/answers.ts';
import type { Response } from './http/response.ts';
import { replaceModel, type ModelNames } from './response-model.ts';
import { EventCutter } from './sse.ts';
import { UsageTail } from '../openai/usage.ts';

/** Bytes of an answer that are held at most while its model name is changed. */
const wholeAnswerLimit = 64 * 1024 * 1024;

/** What the client gets on top of the engine's own headers. */
export interface AnswerExtras {
  readonly requestId: string;
  /** More headers, as name, value …; empty for most requests. */
  readonly debug: readonly string[];
  /** The names to change back where the request's model was rewritten; null where bytes go through untouched. */
  readonly rename: ModelNames | null;
  /** Whether the connection is to be closed after this answer. */
  readonly close: boolean;
}

/** The engine's answer on its way to the client: nothing is sent before there is something whole to send. */
export class ClientAnswer {
  readonly usage = new UsageTail();
  /** Whether a byte has gone to the client. */
  begun = false;
  private readonly response: Response;
  private readonly status: number;
  private readonly headers: readonly string[];
  private readonly extras: AnswerExtras;
  private readonly cutter: EventCutter | null;
  private whole: Buffer[] | null = null;
  private wholeBytes = 0;
  private remaining = -1;

  constructor(response: Response, status: number, headers: readonly string[], extras: AnswerExtras) {
    this.response = response;
    this.status = status;
    this.headers = headers;
    this.extras = extras;
    const type = valueOf(headers, 'content-type');
    this.cutter = type !== undefined && type.startsWith('text/event-stream') ? new EventCutter() : null;
    if (this.cutter !== null) return;
    if (extras.rename !== null) this.whole = [];
    else this.remaining = Number(valueOf(headers, 'content-length') ?? -1);
  }

  get isStream(): boolean {
    return this.cutter !== null;
  }

  /** Passes a piece on; false when the client is slower than the engine. */
  write(chunk: Buffer): boolean {
    if (this.whole !== null) return this.hold(this.whole, chunk);
    let bytes: Buffer | null = chunk;
    if (this.cutter !== null) {
      bytes = this.cutter.push(chunk);
      if (bytes === null) return true;
      if (this.extras.rename !== null) bytes = replaceModel(bytes, this.extras.rename);
    }
    this.usage.push(bytes);
    this.begin(null);
    if (this.remaining >= 0) {
      this.remaining -= bytes.length;
      // Head and body leave in one piece when the answer is complete.
      if (this.remaining === 0) {
        this.response.end(bytes);
        return true;
      }
    }
    return this.response.write(bytes);
  }

  /** The engine's answer is complete. */
  end(): void {
    const { response } = this;
    if (response.ended) return;
    if (this.whole !== null && this.extras.rename !== null) {
      const bytes = replaceModel(Buffer.concat(this.whole), this.extras.rename);
      this.usage.push(bytes);
      this.begin(bytes.length);
      response.end(bytes);
      return;
    }
    const rest = this.cutter?.rest() ?? null;
    this.begin(null);
    if (rest === null) response.end();
    else response.end(this.extras.rename === null ? rest : replaceModel(rest, this.extras.rename));
  }

  /**
   * The engine has failed after the first byte: a stream gets an error event, and the connection is closed without
   * the end that would make the answer look complete.
   */
  breakOff(error: RoutingError, path: string): void {
    const { response } = this;
    if (!this.isStream) {
      response.destroy();
      return;
    }
    response.breakOff(Buffer.from(errorEvent(error, path)));
  }

  private begin(length: number | null): void {
    if (this.begun) return;
    this.begun = true;
    const { headers, extras } = this;
    const head: string[] = [];
    for (let i = 0; i < headers.length; i += 2) {
      if (!isReplaced(headers[i], extras.rename !== null)) head.push(headers[i], headers[i + 1]);
    }
    head.push('x-request-id', extras.requestId);
    if (length !== null) head.push('content-length', String(length));
    for (const text of extras.debug) head.push(text);
    if (extras.close) this.response.close = true;
    this.response.writeHead(this.status, head);
  }

  private hold(whole: Buffer[], chunk: Buffer): boolean {
    whole.push(chunk);
    this.wholeBytes += chunk.length;
    if (this.wholeBytes > wholeAnswerLimit) throw new AnswerTooLarge();
    return true;
  }
}

/** An answer whose model name must be changed is larger than the router holds. */
export class AnswerTooLarge extends Error {
  override readonly name = 'AnswerTooLarge';
}

/** Whether the router sends its own header of that name: the request's id, and the length of an answer it changes. */
function isReplaced(name: string, changed: boolean): boolean {
  if (name.length === 12) return name.toLowerCase() === 'x-request-id';
  return changed && name.length === 14 && name.toLowerCase() === 'content-length';
}

function valueOf(headers: readonly string[], name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i].length === name.length && headers[i].toLowerCase() === name) return headers[i + 1];
  }
  return undefined;
}
