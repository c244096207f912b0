import { Agent, type Dispatcher } from 'undici';
import type { Clock } from '../router/clock.ts';
import type { HttpProbe, ProbeFault, ProbeRequest, ProbeResult } from './probe.ts';
import type { TlsSettings } from './targets.ts';

/** Health, metrics and models of one endpoint may be asked at once; a hung one must not hold up the others. */
const connectionsPerEndpoint = 3;
/** Milliseconds; only frees the socket of an address that swallows packets, the probe's own time-out ends sooner. */
const connectTimeout = 5_000;

/** Probes over kept-alive HTTP/1.1 connections. */
export class UndiciProbe implements HttpProbe {
  private readonly clock: Clock;
  private readonly plain = makeAgent(null);
  private readonly secure = new Map<string, Agent>();
  private readonly running = new Set<Exchange>();
  private closed = false;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  get(request: ProbeRequest, done: (result: ProbeResult) => void): void {
    const exchange: Exchange = new Exchange(request.maxBytes, (result) => {
      cancel();
      this.running.delete(exchange);
      done(result);
    });
    const cancel = this.clock.after(request.timeout, () => {
      exchange.fail('timeout', `no answer within ${request.timeout} ms`);
    });
    this.running.add(exchange);
    if (this.closed) return void queueMicrotask(() => exchange.fail('failed', 'the probe is closed'));
    const { origin, tls, authorization } = request.access;
    const headers = authorization === null ? null : { authorization };
    try {
      const agent = tls === null ? this.plain : this.secureAgent(tls);
      agent.dispatch({ origin, path: request.path, method: 'GET', headers }, exchange);
    } catch (error) {
      // undici throws on a path or an origin that is no URL.
      queueMicrotask(() => exchange.fail('failed', String(error)));
    }
  }

  close(): void {
    this.closed = true;
    for (const exchange of [...this.running]) exchange.fail('failed', 'the probe is closed');
    destroy(this.plain);
    for (const agent of this.secure.values()) destroy(agent);
    this.secure.clear();
  }

  /** One agent for each set of TLS settings ever used: they change when certificates rotate, and an idle one is small. */
  private secureAgent(tls: TlsSettings): Agent {
    const key = `${tls.serverName ?? ''}\n${tls.ca ?? ''}`;
    const known = this.secure.get(key);
    if (known !== undefined) return known;
    const agent = makeAgent(tls);
    this.secure.set(key, agent);
    return agent;
  }
}

function makeAgent(tls: TlsSettings | null): Agent {
  const connect = {
    timeout: connectTimeout,
    ...(tls?.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls?.serverName === undefined ? {} : { servername: tls.serverName }),
  };
  return new Agent({ connections: connectionsPerEndpoint, headersTimeout: 0, bodyTimeout: 0, allowH2: false, connect });
}

function destroy(agent: Agent): void {
  // Requests under way have been ended before; destroying an agent rejects for no other reason.
  agent.destroy().catch(() => undefined);
}

/** One probe under way. */
class Exchange implements Dispatcher.DispatchHandler {
  private readonly maxBytes: number;
  private done: ((result: ProbeResult) => void) | null;
  private controller: Dispatcher.DispatchController | null = null;
  private readonly chunks: Buffer[] = [];
  private bytes = 0;

  constructor(maxBytes: number, done: (result: ProbeResult) => void) {
    this.maxBytes = maxBytes;
    this.done = done;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    // The time ran out while it waited for a connection, where it could not be taken back.
    if (this.done === null) controller.abort(new Error('the probe has ended'));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    if (status >= 300) this.fail('status', `answered with status ${status}`);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.bytes > this.maxBytes) this.fail('too_large', `the answer is longer than ${this.maxBytes} bytes`);
    else this.chunks.push(chunk);
  }

  onResponseEnd(): void {
    this.finish({ ok: true, body: this.chunks.length === 1 ? this.chunks[0] : Buffer.concat(this.chunks, this.bytes) });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.finish({ ok: false, fault: faultOf(error), message: error.message });
  }

  fail(fault: ProbeFault, message: string): void {
    this.finish({ ok: false, fault, message });
    if (this.controller !== null && !this.controller.aborted) this.controller.abort(new Error(message));
  }

  private finish(result: ProbeResult): void {
    const { done } = this;
    this.done = null;
    done?.(result);
  }
}

const faults: ReadonlyMap<unknown, ProbeFault> = new Map<unknown, ProbeFault>([
  ['ECONNREFUSED', 'refused'],
  ['EHOSTUNREACH', 'refused'],
  ['ENETUNREACH', 'refused'],
  ['ENOTFOUND', 'refused'],
  ['ECONNRESET', 'reset'],
  ['EPIPE', 'reset'],
  ['UND_ERR_SOCKET', 'reset'],
  ['ETIMEDOUT', 'timeout'],
  ['UND_ERR_CONNECT_TIMEOUT', 'timeout'],
]);

function faultOf(error: Error): ProbeFault {
  return ('code' in error ? faults.get(error.code) : undefined) ?? 'failed';
}
