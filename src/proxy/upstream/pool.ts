import { isIPv6 } from 'node:net';
import type { Clock } from '../../router/clock.ts';
import type { UpstreamTarget } from './client.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import type { Exchange } from './exchange.ts';
import { Opener } from './open-socket.ts';

/** Milliseconds an idle connection is kept where the engine gives no hint: uvicorn closes after 5 s. */
const defaultIdle = 4_000;
/** Closing this much earlier than the engine would leaves no time for the two to cross, in milliseconds. */
const idleMargin = 1_000;
const maxIdle = 60_000;

/** The connections to one engine. The one that became idle last is used first, so that the surplus grows old. */
export class Pool implements ConnectionOwner {
  readonly address: string;
  readonly hostLine: string;
  readonly clock: Clock;
  private readonly opener: Opener;
  private readonly idle: Connection[] = [];
  private readonly open = new Set<Connection>();
  private readonly onFirstIdle: () => void;
  private retired = false;

  /** `onFirstIdle` is called whenever there is something for `sweep` to do again. */
  constructor(target: UpstreamTarget, clock: Clock, onFirstIdle: () => void) {
    this.address = `${isIPv6(target.host) ? `[${target.host}]` : target.host}:${target.port}`;
    this.hostLine = `host: ${this.address}\r\n`;
    this.clock = clock;
    this.opener = new Opener(target);
    this.onFirstIdle = onFirstIdle;
  }

  send(exchange: Exchange): void {
    const connection = this.takeIdle();
    if (connection === null) this.resend(exchange);
    else connection.carry(exchange);
  }

  resend(exchange: Exchange): void {
    const connection = new Connection(this, exchange);
    this.open.add(connection);
    try {
      this.opener.open(connection);
    } catch (cause) {
      process.nextTick(breakOff, connection, cause);
    }
  }

  onIdle(connection: Connection, hint: number): void {
    const time = hint < 0 ? defaultIdle : Math.min(maxIdle, hint * 1_000 - idleMargin);
    if (this.retired || time <= 0) return connection.drop();
    connection.idleUntil = this.clock.now() + time;
    if (this.idle.push(connection) === 1) this.onFirstIdle();
  }

  onGone(connection: Connection): void {
    if (!this.open.delete(connection)) return;
    const at = this.idle.lastIndexOf(connection);
    if (at >= 0) this.idle.splice(at, 1);
  }

  /** Closes connections that have been idle too long; returns whether others are idle still. */
  sweep(): boolean {
    const now = this.clock.now();
    for (const connection of this.idle.filter((one) => one.idleUntil <= now)) connection.drop();
    return this.idle.length > 0;
  }

  isEmpty(): boolean {
    return this.open.size === 0;
  }

  /** Closes idle connections now and busy ones as they end. */
  retire(): void {
    this.retired = true;
    for (const connection of [...this.idle]) connection.drop();
  }

  close(): void {
    this.retired = true;
    for (const connection of [...this.open]) connection.close();
  }

  private takeIdle(): Connection | null {
    for (;;) {
      const connection = this.idle.pop();
      if (connection === undefined) return null;
      if (connection.idleUntil > this.clock.now()) return connection;
      connection.drop();
    }
  }
}

function breakOff(connection: Connection, cause: unknown): void {
  connection.onBroken(cause instanceof Error ? cause : new Error(String(cause)));
}
