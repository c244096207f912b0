import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../router/clock.ts';
import { KubeUnreachable, type WatchEvent, type WatchHandler } from './contract.ts';
import { LineSplitter } from './line-splitter.ts';
import { isObject } from '../../api/schema-node.ts';
import { readAll, retryAfterOf, unreachable, type Transport } from './transport.ts';

/** Bytes of one event. etcd takes objects up to 1.5 MiB. */
const maxLine = 8 * 1024 * 1024;
/** Milliseconds until the server must have taken or refused a watch. */
const openTimeout = 15_000;
/** Milliseconds without a byte after which a watch counts as hung: bookmarks come every minute. */
const maxSilence = 150_000;
/** Milliseconds that a watch may outlive its own `timeoutSeconds`. */
const slack = 15_000;
const types: ReadonlySet<unknown> = new Set(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']);

/** One watch from its request to its end. Tells `done` how the server took it: a status, or `none`. */
export class WatchStream {
  private readonly transport: Transport;
  private readonly clock: Clock;
  private readonly handler: WatchHandler;
  private readonly done: (status: string) => void;
  private readonly abort = new AbortController();
  private readonly lines = new LineSplitter(maxLine);
  private over = false;
  private status = 'none';
  private lastHeard = 0;
  private cancel: () => void = () => undefined;

  constructor(transport: Transport, clock: Clock, handler: WatchHandler, done: (status: string) => void) {
    this.transport = transport;
    this.clock = clock;
    this.handler = handler;
    this.done = done;
  }

  start(path: string): void {
    this.alarm(openTimeout, `the API server did not take a watch in ${openTimeout} ms`);
    this.transport.open({ method: 'GET', path, headers: {} }, this.abort.signal).then(
      (response) => this.answered(response, path),
      (error: unknown) => this.end(null, error),
    );
  }

  /** Ends it without a further call to the handler. */
  close(): void {
    this.finish();
  }

  private answered(response: IncomingMessage, path: string): void {
    this.status = String(response.statusCode ?? 0);
    if (this.over) {
      response.destroy();
      return;
    }
    if (response.statusCode === 200) this.opened(response, path);
    else void this.refused(response);
  }

  private async refused(response: IncomingMessage): Promise<void> {
    const status = response.statusCode ?? 0;
    try {
      const text = await readAll(response, maxLine);
      this.end(
        status,
        new Error(`the API server refused a watch with ${status}: ${text.slice(0, 200)}`),
        retryAfterOf(response),
      );
    } catch (error) {
      this.end(status, error, retryAfterOf(response));
    }
  }

  private opened(response: IncomingMessage, path: string): void {
    this.cancel();
    const seconds = Number(new URL(path, 'http://localhost').searchParams.get('timeoutSeconds'));
    const deadline = seconds > 0 ? this.clock.now() + seconds * 1000 + slack : Infinity;
    this.lastHeard = this.clock.now();
    this.listenUntil(deadline);
    response.on('data', (piece: Buffer) => this.take(piece));
    response.on('end', () => this.end(null, null));
    response.on('error', (error) => this.end(null, error));
    response.on('close', () => this.end(null, new KubeUnreachable('the watch broke off')));
    this.handler.open?.();
  }

  private listenUntil(deadline: number): void {
    const now = this.clock.now();
    const due = Math.min(deadline, this.lastHeard + maxSilence);
    if (due <= now) {
      this.end(null, new KubeUnreachable('the watch hangs: nothing came, and it did not end in its time'));
      return;
    }
    this.cancel = this.clock.after(due - now, () => this.listenUntil(deadline));
  }

  private alarm(milliseconds: number, message: string): void {
    this.cancel = this.clock.after(milliseconds, () => this.end(null, new KubeUnreachable(message)));
  }

  private take(piece: Buffer): void {
    this.lastHeard = this.clock.now();
    try {
      for (const line of this.lines.push(piece)) {
        if (this.over) return;
        this.handler.event(eventOf(line));
      }
    } catch (error) {
      this.end(null, error);
    }
  }

  private end(status: number | null, error: unknown, retryAfter: number | null = null): void {
    if (!this.finish()) return;
    const told = error === null ? null : status === null ? unreachable(error) : asError(error);
    if (retryAfter === null) this.handler.end(status, told);
    else this.handler.end(status, told, retryAfter);
  }

  /** False when it was over already. */
  private finish(): boolean {
    if (this.over) return false;
    this.over = true;
    this.cancel();
    this.abort.abort(new KubeUnreachable('the watch was closed'));
    this.done(this.status);
    return true;
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** Throws on a line that is no event. */
function eventOf(line: string): WatchEvent {
  const value: unknown = JSON.parse(line);
  if (!isObject(value) || !isEventType(value.type)) throw new Error('a line of the watch is no event');
  return { type: value.type, object: value.object };
}

function isEventType(type: unknown): type is WatchEvent['type'] {
  return types.has(type);
}
