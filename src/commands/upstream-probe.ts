import type { HttpProbe, ProbeAccess, ProbeFault, ProbeRequest, ProbeResult } from '../datalayer/probe.ts';
import type {
  UpstreamError,
  UpstreamExchange,
  UpstreamFailure,
  UpstreamHandler,
  UpstreamTarget,
} from '../proxy/upstream/client.ts';
import { SocketClient } from '../proxy/upstream/socket-client.ts';
import type { Clock } from '../router/clock.ts';
import { Deadlines, type Timed } from '../router/deadlines.ts';

/** Health, metrics and models of one endpoint may be asked at once; a hung one must not hold up the others. */
const connectionsPerEndpoint = 3;
/** Milliseconds between looks for probes whose time is up: how late a time-out may come. */
const resolution = 100;
/** Milliseconds between looks for endpoints that are asked no more; longer than any usual interval. */
const forgetInterval = 60_000;
/** What no header can carry (RFC 9110 §5.5), and what is no latin1. */
const unsafeValue = /[^\t\x20-\x7e\x80-\xff]/;

const empty = Buffer.alloc(0);

/**
 * Where answers of several pieces are put together: engines' metrics are 68 KB, and to allocate that 100 times a second
 * keeps the collector busy. Few answers come at the same time.
 */
const scratch: Buffer[] = [];
const mostScratch = 4;
const leastScratch = 128 * 1024;

function takeScratch(bytes: number): Buffer {
  const one = scratch.pop();
  if (one !== undefined && one.length >= bytes) return one;
  return Buffer.allocUnsafeSlow(Math.max(leastScratch, 2 ** Math.ceil(Math.log2(bytes))));
}

/** A buffer of an answer much longer than usual is not kept. */
function giveBack(buffer: Buffer): void {
  if (scratch.length < mostScratch && buffer.length <= 4 * leastScratch) scratch.push(buffer);
}

/**
 * Probes over the kept-alive HTTP/1.1 connections of the client that carries requests to engines: a third of the work of
 * Node's own client, and what it takes for an answer is what a request would get as one.
 */
export class UpstreamProbe implements HttpProbe {
  private readonly clock: Clock;
  private readonly client: SocketClient;
  private readonly deadlines: Deadlines;
  private readonly sites = new Map<string, Site>();
  private readonly running = new Set<Get>();
  private cancelForget: (() => void) | null = null;
  private closed = false;

  constructor(clock: Clock) {
    this.clock = clock;
    this.client = new SocketClient(clock);
    this.deadlines = new Deadlines(clock, resolution);
  }

  get(request: ProbeRequest, done: (result: ProbeResult) => void): void {
    const get: Get = new Get(request, this.clock.now() + request.timeout, (result) => {
      this.running.delete(get);
      this.deadlines.delete(get);
      get.site?.left(get);
      done(result);
    });
    this.running.add(get);
    const site = this.closed ? 'the probe is closed' : this.siteOf(request.access);
    if (typeof site === 'string') {
      queueMicrotask(() => get.fail('failed', site));
      return;
    }
    this.deadlines.add(get);
    site.enter(get);
  }

  close(): void {
    this.closed = true;
    this.cancelForget?.();
    for (const get of [...this.running]) get.fail('failed', 'the probe is closed');
    this.client.close();
    this.sites.clear();
  }

  /** Or what is wrong with the origin. */
  private siteOf({ origin, tls }: ProbeAccess): Site | string {
    const key = tls === null ? origin : `${origin}\n${tls.serverName ?? ''}\n${tls.ca ?? ''}`;
    const known = this.sites.get(key);
    if (known !== undefined) {
      known.usedAt = this.deadlines.coarseNow;
      return known;
    }
    if (!URL.canParse(origin)) return `the origin ${origin} is no URL`;
    const { hostname, port, protocol } = new URL(origin);
    const target: UpstreamTarget = Object.freeze({
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port),
      ...(tls === null ? {} : { tls }),
    });
    const site = new Site(this.client, target, this.clock.now());
    this.sites.set(key, site);
    this.cancelForget ??= this.clock.after(forgetInterval, this.forget);
    return site;
  }

  /** Lets endpoints go that nobody has asked for long: addresses of Pods come and go for months. */
  private readonly forget = (): void => {
    const before = this.clock.now() - forgetInterval;
    for (const [key, site] of this.sites) if (site.isIdle && site.usedAt < before) this.sites.delete(key);
    this.client.retain(new Set(Array.from(this.sites.values(), ({ target }) => target)));
    this.cancelForget = this.sites.size === 0 ? null : this.clock.after(forgetInterval, this.forget);
  };
}

/** What is under way to one endpoint, and what waits for a connection. */
class Site {
  readonly target: UpstreamTarget;
  /** Milliseconds of the clock. */
  usedAt: number;
  private readonly client: SocketClient;
  private readonly waiting: Get[] = [];
  private sent = 0;

  constructor(client: SocketClient, target: UpstreamTarget, now: number) {
    this.client = client;
    this.target = target;
    this.usedAt = now;
  }

  get isIdle(): boolean {
    return this.sent === 0 && this.waiting.length === 0;
  }

  enter(get: Get): void {
    get.site = this;
    if (this.sent < connectionsPerEndpoint) this.send(get);
    else this.waiting.push(get);
  }

  left(get: Get): void {
    const at = this.waiting.indexOf(get);
    if (at >= 0) {
      this.waiting.splice(at, 1);
      return;
    }
    this.sent -= 1;
    const next = this.waiting.shift();
    if (next !== undefined) this.send(next);
  }

  private send(get: Get): void {
    this.sent += 1;
    get.send(this.client, this.target);
  }
}

/** One probe, from its asking to its answer. */
class Get implements Timed, UpstreamHandler {
  deadline: number;
  place = -1;
  site: Site | null = null;
  private readonly request: ProbeRequest;
  private done: ((result: ProbeResult) => void) | null;
  private exchange: UpstreamExchange | null = null;
  private body: Buffer = empty;
  private bytes = 0;
  private inScratch = false;

  constructor(request: ProbeRequest, deadline: number, done: (result: ProbeResult) => void) {
    this.request = request;
    this.deadline = deadline;
    this.done = done;
  }

  send(client: SocketClient, target: UpstreamTarget): void {
    const { path, access } = this.request;
    const { authorization } = access;
    if (authorization !== null && unsafeValue.test(authorization)) {
      queueMicrotask(() => this.fail('failed', 'the key holds a character that no header can carry'));
      return;
    }
    const headers = authorization === null ? '' : `authorization: ${authorization}\r\n`;
    try {
      this.exchange = client.dispatch(target, { method: 'GET', path, headers, body: null, connectTimeout: 0 }, this);
    } catch (error) {
      queueMicrotask(() => this.fail('failed', String(error)));
    }
  }

  timeOut(): void {
    this.fail('timeout', `no answer within ${this.request.timeout} ms`);
  }

  fail(fault: ProbeFault, message: string): void {
    this.exchange?.abort();
    this.finish({ ok: false, fault, message });
  }

  onHead(status: number): void {
    if (status >= 300) this.fail('status', `answered with status ${status}`);
  }

  onData(chunk: Buffer): boolean {
    this.bytes += chunk.length;
    if (this.bytes > this.request.maxBytes)
      this.fail('too_large', `the answer is longer than ${this.request.maxBytes} bytes`);
    else if (this.bytes === chunk.length) this.body = chunk;
    else this.append(chunk);
    return true;
  }

  onEnd(): void {
    this.finish({ ok: true, body: this.body.subarray(0, this.bytes) });
  }

  onError(error: UpstreamError): void {
    this.finish({ ok: false, fault: faultOf(error), message: error.message });
  }

  private finish(result: ProbeResult): void {
    const { done } = this;
    this.done = null;
    done?.(result);
    if (this.inScratch) giveBack(this.body);
    this.inScratch = false;
  }

  /** A further piece: they are put together in a buffer that answers use one after the other. */
  private append(chunk: Buffer): void {
    const before = this.bytes - chunk.length;
    if (this.body.length < this.bytes || !this.inScratch) {
      const larger = takeScratch(this.bytes);
      this.body.copy(larger, 0, 0, before);
      if (this.inScratch) giveBack(this.body);
      this.body = larger;
      this.inScratch = true;
    }
    chunk.copy(this.body, before);
  }
}

/** What the system says tells more than how far the exchange had come. */
const faultsByCode: ReadonlyMap<unknown, ProbeFault> = new Map<unknown, ProbeFault>([
  ['ECONNREFUSED', 'refused'],
  ['EHOSTUNREACH', 'refused'],
  ['ENETUNREACH', 'refused'],
  ['ENOTFOUND', 'refused'],
  ['ECONNRESET', 'reset'],
  ['EPIPE', 'reset'],
  ['ETIMEDOUT', 'timeout'],
]);

const faultsByFailure: Readonly<Record<UpstreamFailure, ProbeFault>> = {
  connect: 'failed',
  connect_timeout: 'timeout',
  reset: 'reset',
  cut: 'reset',
  invalid: 'failed',
};

function faultOf({ cause, failure }: UpstreamError): ProbeFault {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  return faultsByCode.get(code) ?? faultsByFailure[failure];
}
