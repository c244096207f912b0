import type { ServerResponse } from 'node:http';
import type { Sequence, SequenceListener } from '../sequence.ts';
import type { AnswerFormat } from './format.ts';
import type { Answer } from './generation.ts';

/** What an exchange tells its server. */
export interface ExchangeHost {
  /** There is something to write: `flush` is wanted once the engine's steps are done. */
  touched(exchange: Exchange): void;
  firstToken(sequence: Sequence): void;
  /** The answer is complete, or the client has gone. */
  over(exchange: Exchange): void;
}

/**
 * One client's answer. The engine goes on when a client reads slowly, as a real one does; what is unsent is a count, not a
 * buffer, and is written when the connection drains.
 */
export class Exchange implements SequenceListener {
  private readonly response: ServerResponse;
  private readonly host: ExchangeHost;
  /** Output tokens of all choices after which the connection is reset; Infinity for none. */
  private readonly cutAfter: number;
  private answer: Answer | null = null;
  private format: AnswerFormat | null = null;
  /** Tokens written, by choice. */
  private written: Int32Array = new Int32Array(0);
  private total = 0;
  private blocked = false;
  private ended = false;

  constructor(response: ServerResponse, host: ExchangeHost, cutAfter: number) {
    this.response = response;
    this.host = host;
    this.cutAfter = cutAfter;
  }

  get sequences(): readonly Sequence[] {
    return this.answer?.sequences ?? [];
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
    if (answer.generation.stream) this.flushStream(answer, format, done);
    else if (done) this.sendWhole(format);
  }

  /** Breaks the connection as a crash would. */
  private reset(): void {
    this.response.socket?.resetAndDestroy();
    this.host.over(this);
  }

  private flushStream(answer: Answer, format: AnswerFormat, done: boolean): void {
    let events = '';
    for (let choice = 0; choice < answer.sequences.length && this.total < this.cutAfter; choice++) {
      events += this.newEvents(choice, answer.sequences[choice], format);
    }
    const cut = this.total >= this.cutAfter;
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
    while (this.written[choice] < sequence.outputLength && this.total < this.cutAfter) {
      events += format.token(choice, this.written[choice]);
      this.written[choice] += 1;
      this.total += 1;
    }
    return events;
  }

  private sendWhole(format: AnswerFormat): void {
    if (this.cutAfter < Infinity) {
      this.reset();
      return;
    }
    const body = Buffer.from(format.whole());
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
