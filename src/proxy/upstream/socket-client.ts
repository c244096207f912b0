import type { Clock } from '../../router/clock.ts';
import {
  UpstreamError,
  type UpstreamClient,
  type UpstreamExchange,
  type UpstreamHandler,
  type UpstreamRequest,
  type UpstreamTarget,
} from './client.ts';
import { Exchange } from './exchange.ts';
import { Pool } from './pool.ts';
import { checkRequest } from './request-writer.ts';

/** Milliseconds between looks for connections that have been idle too long; less than the margin to the engine. */
const sweepInterval = 500;

/** HTTP/1.1 on plain sockets: about half the work of a library per request, see bench/upstream. */
export class SocketClient implements UpstreamClient {
  private readonly clock: Clock;
  private readonly pools = new Map<UpstreamTarget, Pool>();
  /** Pools without new requests whose last exchanges are still under way. */
  private readonly retired = new Set<Pool>();
  /**
   * Requests of this turn of the event loop, with their targets. They are sent at its end, when all that had arrived
   * has been read: an idle connection that the engine has closed is known to be, and one that the engine has written
   * to unasked is gone, before a request could take those bytes for its answer.
   */
  private readonly waiting: Exchange[] = [];
  private readonly waitingFor: UpstreamTarget[] = [];
  private sweeping = false;
  private closed = false;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Throws a TypeError where the request's path or headers could be read as another request. */
  dispatch(target: UpstreamTarget, request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange {
    checkRequest(request);
    const exchange = new Exchange(request, handler);
    this.waiting.push(exchange);
    this.waitingFor.push(target);
    if (this.waiting.length === 1) setImmediate(this.flush);
    return exchange;
  }

  retain(targets: ReadonlySet<UpstreamTarget>): void {
    for (const pool of this.retired) if (pool.isEmpty()) this.retired.delete(pool);
    for (const [target, pool] of this.pools) {
      if (targets.has(target)) continue;
      this.pools.delete(target);
      pool.retire();
      this.retired.add(pool);
    }
  }

  close(): void {
    this.closed = true;
    for (const pool of this.pools.values()) pool.close();
    for (const pool of this.retired) pool.close();
    this.pools.clear();
    this.retired.clear();
  }

  private readonly flush = (): void => {
    const count = this.waiting.length;
    for (let i = 0; i < count; i++) {
      const exchange = this.waiting[i];
      if (this.closed) refuse(exchange);
      else if (!exchange.over) this.poolOf(this.waitingFor[i]).send(exchange);
    }
    this.waiting.splice(0, count);
    this.waitingFor.splice(0, count);
    if (this.waiting.length > 0) setImmediate(this.flush);
  };

  private poolOf(target: UpstreamTarget): Pool {
    const known = this.pools.get(target);
    if (known !== undefined) return known;
    const pool = new Pool(target, this.clock, () => this.sweepLater());
    this.pools.set(target, pool);
    return pool;
  }

  private sweepLater(): void {
    if (this.sweeping || this.closed) return;
    this.sweeping = true;
    this.clock.after(sweepInterval, () => this.sweep());
  }

  private sweep(): void {
    this.sweeping = false;
    let more = false;
    for (const pool of this.pools.values()) more = pool.sweep() || more;
    if (more) this.sweepLater();
  }
}

function refuse(exchange: Exchange): void {
  exchange.fail(new UpstreamError('connect', 'the client was closed: no request is sent any more'));
}
