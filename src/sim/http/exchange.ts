import type { ServerResponse } from 'node:http';
import type { Sequence, SequenceListener } from '../sequence.ts';
import { brokenOff, type ApiError } from './errors.ts';
import { endOfStream, type AnswerFormat } from './format.ts';
import type { Answer } from './generation.ts';

/** What an exchange tells its server. */
export interface ExchangeHost {
  /** There is something to write: `flush` is wanted once the engine's steps are done. */
  touched(exchange: Exchange): void;
  firstToken(sequence: Sequence): void;
  /** The answer is complete, or the client has gone. */
  over(exchange: Exchange): void;
}

/** How an answer comes to nothing: an error in vLLM's shape, a reset connection, silence. */
export type BreakOff = 'error' | 'unavailable' | 'cut' | 'hang';

/** What is to go wrong with an answer. */
export interface Sabotage {
  /** Output tokens of all choices after which the connection is reset; Infinity for none. */
  readonly cutAfter: number;
  /** With its first token, before it is sent. */
  readonly atFirstToken: BreakOff | null;
  /** In place of the whole answer, or of a stream's end. */
  readonly atEnd: BreakOff | null;
}

export const noSabotage: Sabotage = Object.freeze({ cutAfter: Infinity, atFirstToken: null, atEnd: null });

/**
 * One client's answer. The engine goes on when a client reads slowly, as a real one does; what is unsent is a count, not a
 * buffer, and is written when the connection drains.
 */
export class Exchange implements SequenceListener {
  private readonly response: ServerResponse;
  private readonly host: ExchangeHost;
  private readonly sabotage: Sabotage;
  private answer: Answer | null = null;
  private format: AnswerFormat | null = null;
  /** Tokens written, by choice. */
  private written: Int32Array = new Int32Array(0);
  private total = 0;
  private blocked = false;
  private ended = false;

  constructor(response: ServerResponse, host: ExchangeHost, sabotage: Sabotage = noSabotage) {
    this.response = response;
    this.host = host;
    this.sabotage = sabotage;
  }

  get sequences(): readonly Sequence[] {
    return this.answer?.sequences ?? [];
  }

  /** Whether the client has been sent everything. */
  get delivered(): boolean {
    return this.response.writableFinished;
  }

  /** Called once all sequences are in the engine's queue. A stream's head goes out now, long before its first token. */
  begin(answer: Answer, format: AnswerFormat): void {
    this.answer = answer;
    this.format = format;
    this.written = new Int32Array(answer.sequences.length);
    this.response.on('close', this.onClose);
    this.response.on('drain', this.onDrain);
    // The client may have gone while its request was read: no further event would tell.
    if (this.response.destroyed || this.response.socket?.destroyed === true) {
      this.host.over(this);
      return;
    }
    if (!answer.generation.stream) return;
    this.response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    this.response.flushHeaders();
  }

  progressed(sequence: Sequence): void {
    if (sequence.outputLength === 1) this.host.firstToken(sequence);
    this.host.touched(this);
  }

  /** Writes what the engine has made since the last call. */
  flush(): void {
    const { answer, format } = this;
    if (answer === null || format === null || this.ended) return;
    // A reset that the system refuses, as it does while the connection is being shut down, ends it without a word.
    if (this.response.socket?.destroyed === true) {
      this.host.over(this);
      return;
    }
    if (this.blocked) return;
    const done = answer.sequences.every(({ ended }) => ended);
    const broken = this.brokenBy(answer, done);
    if (broken !== null) this.breakOff(broken);
    else if (answer.generation.stream) this.flushStream(answer, format, done);
    else if (done) this.sendWhole(format);
  }

  private brokenBy({ sequences }: Answer, done: boolean): BreakOff | null {
    if (sequences.some(({ state }) => state === 'failed')) return 'error';
    const { atFirstToken, atEnd } = this.sabotage;
    if (atFirstToken !== null && sequences.some(({ firstTokenAt }) => firstTokenAt >= 0)) return atFirstToken;
    return done ? atEnd : null;
  }

  /** Ends the answer before its time; what the engine still computes for it is aborted. */
  breakOff(how: BreakOff): void {
    if (this.ended) return;
    this.ended = true;
    if (how === 'cut') this.response.socket?.resetAndDestroy();
    else if (how !== 'hang') this.sendError(brokenOff(how));
    this.host.over(this);
  }

  /** A stream, whose head has gone out, says it in its last event. */
  private sendError({ status, body }: ApiError): void {
    if (this.response.headersSent) {
      this.response.end(`data: ${body}\n\n${endOfStream}`);
      return;
    }
    this.response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    this.response.end(body);
  }

  /** Breaks the connection as a crash would. */
  private reset(): void {
    this.response.socket?.resetAndDestroy();
    this.host.over(this);
  }

  private flushStream(answer: Answer, format: AnswerFormat, done: boolean): void {
    let events = '';
    for (let choice = 0; choice < answer.sequences.length && this.total < this.sabotage.cutAfter; choice++) {
      events += this.newEvents(choice, answer.sequences[choice], format);
    }
    const cut = this.total >= this.sabotage.cutAfter;
    if (done && !cut) events += format.close();
    // Words and ids are ASCII, and latin1 is the encoding that costs nothing.
    if (cut) this.cut(events);
    else if (events !== '') this.blocked = !this.response.write(events, 'latin1');
    if (done && !cut) this.finish();
  }

  /** The last events go out whole before the connection breaks. */
  private cut(events: string): void {
    this.ended = true;
    this.response.write(events, 'latin1', () => {
      this.reset();
    });
  }

  private newEvents(choice: number, sequence: Sequence, format: AnswerFormat): string {
    let events = '';
    if (this.written[choice] === 0 && sequence.outputLength > 0) events += format.open(choice);
    while (this.written[choice] < sequence.outputLength && this.total < this.sabotage.cutAfter) {
      events += format.token(choice, this.written[choice]);
      this.written[choice] += 1;
      this.total += 1;
    }
    return events;
  }

  private sendWhole(format: AnswerFormat): void {
    if (this.sabotage.cutAfter < Infinity) {
      this.reset();
      return;
    }
    const body = Buffer.from(withParams(format.whole(), this.answer?.transferParams ?? null));
    this.response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
    this.response.write(body);
    this.finish();
  }

  private finish(): void {
    this.ended = true;
    this.response.end();
  }

  private readonly onDrain = (): void => {
    this.blocked = false;
    this.flush();
  };

  private readonly onClose = (): void => {
    this.host.over(this);
  };
}

/** Puts the params, JSON of any size and depth, where the answer says that there are none. */
function withParams(answer: string, params: (() => string) | null): string {
  return params === null
    ? answer
    : answer.replace('"kv_transfer_params":null', () => `"kv_transfer_params":${params()}`);
}
