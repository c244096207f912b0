import { isIPv6 } from 'node:net';
import { Client, Pool, type Dispatcher } from 'undici';
import type { Clock } from '../../router/clock.ts';
import type { UpstreamRequest, UpstreamTarget } from './client.ts';
import { staleWindow } from './connection.ts';
import { UndiciExchange, type UndiciCarrier } from './undici-exchange.ts';

/** Limits of our own rule (see api.md's time-outs): undici's would cut long generations. */
const clientOptions: Client.Options = {
  headersTimeout: 0,
  bodyTimeout: 0,
  pipelining: 1,
  allowH2: false,
  maxHeaderSize: 65_536,
  keepAliveTimeout: 4_000,
  keepAliveTimeoutThreshold: 1_000,
  keepAliveMaxTimeout: 60_000,
};

/** Milliseconds after which undici itself gives a connection up; the requests on it have their own, shorter limits. */
const connectTimeout = 60_000;

/** The connections to one engine, by undici. */
export class UndiciPool implements UndiciCarrier {
  readonly address: string;
  private readonly origin: URL;
  private readonly options: Client.Options;
  private readonly clock: Clock;
  private readonly pool: Pool;
  /** Connections for one exchange each, after a stale one. */
  private readonly singles = new Set<Client>();

  constructor(target: UpstreamTarget, clock: Clock) {
    const { host, port, tls } = target;
    this.address = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
    this.origin = new URL(`${tls === undefined ? 'http' : 'https'}://${this.address}`);
    this.options = { ...clientOptions, connect: { ...tlsOptions(tls), timeout: connectTimeout } };
    this.clock = clock;
    this.pool = new Pool(this.origin, {
      ...this.options,
      factory: (origin, options) => new CountingClient(origin, options),
    });
  }

  send(exchange: UndiciExchange): void {
    this.sendBy(this.pool, exchange);
  }

  resend(exchange: UndiciExchange): boolean {
    const reused = exchange.connection !== null && exchange.connection.served > 0;
    const recent = this.clock.now() - exchange.sentAt <= staleWindow;
    if (!reused || !recent || exchange.started || exchange.resent) return false;
    exchange.resent = true;
    const single = new CountingClient(this.origin, this.options);
    this.singles.add(single);
    this.sendBy(single, exchange);
    void single.close().finally(() => this.singles.delete(single));
    return true;
  }

  /** Closes idle connections now and busy ones as they end; resolves after the last. */
  async retire(): Promise<void> {
    await this.pool.close();
  }

  close(): void {
    const reason = new Error('the client was closed');
    void this.pool.destroy(reason);
    for (const single of this.singles) void single.destroy(reason);
  }

  private sendBy(dispatcher: Dispatcher, exchange: UndiciExchange): void {
    const { request } = exchange;
    exchange.carrier = this;
    exchange.sentAt = this.clock.now();
    const limit = request.connectTimeout;
    if (limit > 0) {
      exchange.cancelTimeout = this.clock.after(limit, () => {
        exchange.fail('connect_timeout', new Error(`no connection within ${limit} ms`));
      });
    }
    dispatcher.dispatch(dispatchOptions(request), exchange);
  }
}

/** One undici connection, which counts the answers that its present socket has carried. */
class CountingClient extends Client {
  served = 0;

  constructor(origin: URL, options: Client.Options) {
    super(origin, options);
    this.on('connect', () => {
      this.served = 0;
    });
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (handler instanceof UndiciExchange) handler.connection = this;
    return super.dispatch(options, handler);
  }
}

function tlsOptions(tls: UpstreamTarget['tls']): { ca?: string; servername?: string } {
  return {
    ...(tls?.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls?.serverName === undefined ? {} : { servername: tls.serverName }),
  };
}

function dispatchOptions(request: UpstreamRequest): Dispatcher.DispatchOptions {
  const headers: string[] = [];
  for (const line of request.headers.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.push(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return { method: request.method, path: request.path, headers, body: request.body };
}
