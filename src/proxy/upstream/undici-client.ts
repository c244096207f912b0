import type { Clock } from '../../router/clock.ts';
import type { UpstreamClient, UpstreamExchange, UpstreamHandler, UpstreamRequest, UpstreamTarget } from './client.ts';
import { checkRequest } from './request-writer.ts';
import { UndiciExchange } from './undici-exchange.ts';
import { UndiciPool } from './undici-pool.ts';

/** The library path: the same contract on undici, kept as the fallback of SocketClient. */
export class UndiciClient implements UpstreamClient {
  private readonly clock: Clock;
  private readonly pools = new Map<UpstreamTarget, UndiciPool>();
  /** Pools without new requests whose last exchanges are still under way. */
  private readonly retired = new Set<UndiciPool>();
  private closed = false;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Throws a TypeError where the request's path or headers could be read as another request. */
  dispatch(target: UpstreamTarget, request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange {
    checkRequest(request);
    const exchange = new UndiciExchange(request, handler);
    // Undici may report an error at once; the contract says never before this returns.
    setImmediate(() => this.send(target, exchange));
    return exchange;
  }

  retain(targets: ReadonlySet<UpstreamTarget>): void {
    for (const [target, pool] of this.pools) {
      if (targets.has(target)) continue;
      this.pools.delete(target);
      this.retired.add(pool);
      void pool.retire().finally(() => this.retired.delete(pool));
    }
  }

  close(): void {
    this.closed = true;
    for (const pool of [...this.pools.values(), ...this.retired]) pool.close();
    this.pools.clear();
  }

  private send(target: UpstreamTarget, exchange: UndiciExchange): void {
    if (this.closed) return exchange.fail('connect', new Error('the client was closed: no request is sent any more'));
    if (exchange.over) return;
    try {
      this.poolOf(target).send(exchange);
    } catch (cause) {
      exchange.fail('connect', cause instanceof Error ? cause : new Error(String(cause)));
    }
  }

  private poolOf(target: UpstreamTarget): UndiciPool {
    const known = this.pools.get(target);
    if (known !== undefined) return known;
    const pool = new UndiciPool(target, this.clock);
    this.pools.set(target, pool);
    return pool;
  }
}
