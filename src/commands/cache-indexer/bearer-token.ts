import { timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { errorText, type Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import { UsageError } from '../io.ts';
import { OutsideError } from '../listen.ts';

/** Milliseconds between looks at the file. */
const interval = 1000;

/** The token that questions need, followed as its file changes. */
export class BearerToken {
  private readonly file: string;
  private wanted: Buffer;
  private failing = false;
  private cancel: () => void = () => undefined;

  /** Throws OutsideError for a file that cannot be read, UsageError for an empty one. */
  constructor(file: string) {
    this.file = file;
    let text: string;
    try {
      text = readFileSync(file, 'utf8').trim();
    } catch (error) {
      throw new OutsideError(`--token-file ${file} cannot be read: ${errorText(error)}`);
    }
    if (text === '') throw new UsageError(`--token-file ${file} is empty`);
    this.wanted = headerOf(text);
  }

  /** Takes up what the file says from now on; while it cannot be read or is empty, the last token stays. */
  follow(clock: Clock, log: Log): void {
    const look = (): void => {
      this.look(log);
      this.cancel = clock.after(interval, look);
    };
    this.cancel = clock.after(interval, look);
  }

  close(): void {
    this.cancel();
  }

  /** Whether an Authorization header carries the token. */
  admits(authorization: string | undefined): boolean {
    const given = Buffer.from(authorization ?? '', 'latin1');
    return given.length === this.wanted.length && timingSafeEqual(given, this.wanted);
  }

  private look(log: Log): void {
    try {
      const text = readFileSync(this.file, 'utf8').trim();
      if (text === '') throw new Error('it is empty');
      const next = headerOf(text);
      if (!next.equals(this.wanted)) log.info('token renewed');
      this.wanted = next;
      this.failing = false;
    } catch (error) {
      if (!this.failing) log.error('the token file cannot be used; the last token stays', { error: errorText(error) });
      this.failing = true;
    }
  }
}

/** As bytes on the wire. */
const headerOf = (token: string): Buffer => Buffer.from(`Bearer ${token}`);
