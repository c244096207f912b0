import type { Socket } from 'node:net';
import type { Clock } from '../router/clock.ts';
import { member } from './http/body.ts';
import { readJsonLines, writeJsonLine } from './json-lines.ts';

const { connect } = process.getBuiltinModule('node:net');

/** Whose blocks, and where to ask for them. */
export interface BlockSource {
  readonly engineId: string;
  readonly requestId: string;
  readonly host: string;
  readonly port: number;
}

/** How a transfer ends: all read; read, but the blocks were not that request's any more; not to be had. */
export type PullEnd = 'read' | 'stale' | 'failed';

/** A read's times, in milliseconds of the clock. */
export interface ReadTimes {
  readonly clock: Clock;
  /** What the bytes take once the read is granted. */
  readonly transfer: number;
  /** How long it takes, from the read on, to notice that the other side is dead; 0 where the two have spoken before. */
  readonly death: number;
  /** How long to wait for one that is there and says nothing. */
  readonly silence: number;
}

/**
 * One transfer of a prompt's KV from another simulated engine. It connects at once, so that the blocks are kept while the request
 * waits for its turn; then `read`, or `decline`.
 */
export class Pull {
  private readonly socket: Socket;
  private times: ReadTimes | null = null;
  private onEnd: (end: PullEnd) => void = () => undefined;
  private cancelTimer: () => void = () => undefined;
  private state: 'idle' | 'asked' | 'moving' | 'stalled' | 'over' = 'idle';
  private closed = false;
  private askedAt = 0;

  constructor({ host, port, engineId, requestId }: BlockSource) {
    this.socket = connect({ host, port, noDelay: true });
    // Why it closed does not matter: `close` follows every error.
    this.socket.on('error', () => undefined);
    this.socket.on('close', this.onClose);
    readJsonLines(this.socket, this.onMessage);
    writeJsonLine(this.socket, { type: 'expect', engine: engineId, request: requestId });
  }

  /** Whether bytes move: then it goes on to its end, whoever waits. */
  get moving(): boolean {
    return this.state === 'moving';
  }

  /** The blocks that the bytes go to are there. `onEnd` is called once, later, unless cancelled. */
  read(times: ReadTimes, onEnd: (end: PullEnd) => void): void {
    this.times = times;
    this.onEnd = onEnd;
    this.state = 'asked';
    this.askedAt = times.clock.now();
    if (this.closed) this.failAfter(times.death);
    else this.failAfter(times.silence);
    writeJsonLine(this.socket, { type: 'read' });
  }

  /** Tells the prefiller that nobody will read. One that is not there holds none. */
  decline(): void {
    this.state = 'over';
    writeJsonLine(this.socket, { type: 'decline' });
    this.socket.end();
  }

  /** Gives up without a word to anybody. */
  cancel(): void {
    this.state = 'over';
    this.cancelTimer();
    this.socket.destroy();
  }

  private readonly onMessage = (message: unknown): void => {
    if (this.state !== 'asked' || this.times === null) return;
    const type = member(message, 'type');
    if (type === 'refused') this.end('failed');
    if (type === 'silence') this.playDead();
    if (type !== 'granted') return;
    this.cancelTimer();
    this.state = member(message, 'stalls') === true ? 'stalled' : 'moving';
    if (this.state === 'stalled') return;
    const end = member(message, 'stale') === true ? 'stale' : 'read';
    this.cancelTimer = this.times.clock.after(this.times.transfer, () => {
      writeJsonLine(this.socket, { type: 'done' });
      this.end(end);
    });
  };

  /** A broken transfer fails at once; one that has not begun, when death would have been noticed. */
  private readonly onClose = (): void => {
    this.closed = true;
    if (this.state === 'asked') this.playDead();
    else if (this.state !== 'idle') this.end('failed');
  };

  private playDead(): void {
    if (this.times !== null) this.failAfter(this.askedAt + this.times.death - this.times.clock.now());
  }

  /** Never at once, since the caller of `read` is in the middle of a step. */
  private failAfter(milliseconds: number): void {
    this.cancelTimer();
    if (this.times === null) return;
    this.cancelTimer = this.times.clock.after(Math.max(0, milliseconds), () => {
      this.end('failed');
    });
  }

  private end(end: PullEnd): void {
    if (this.state === 'over') return;
    this.state = 'over';
    this.cancelTimer();
    if (end === 'failed') this.socket.destroy();
    else this.socket.end();
    this.onEnd(end);
  }
}
