import type { ClientRequest, IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Clock } from '../router/clock.ts';
import type { HttpProbe, ProbeAccess, ProbeFault, ProbeRequest, ProbeResult } from './probe.ts';
import type { TlsSettings } from './targets.ts';

const { Agent: HttpAgent, request: httpRequest } = process.getBuiltinModule('node:http');

/** Health, metrics and models of one endpoint may be asked at once; a hung one must not hold up the others. */
const connectionsPerEndpoint = 3;

/**
 * Probes over kept-alive HTTP/1.1 connections, by Node's own client: a probe a second needs no faster one, and a
 * library beside it would take a fifth of the router's memory.
 */
export class NodeProbe implements HttpProbe {
  private readonly clock: Clock;
  private readonly plain = new HttpAgent({ keepAlive: true, maxSockets: connectionsPerEndpoint });
  private readonly secure = new Map<string, HttpsAgent>();
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
    if (this.closed) queueMicrotask(() => exchange.fail('failed', 'the probe is closed'));
    else exchange.start(() => this.send(request.access, request.path));
  }

  close(): void {
    this.closed = true;
    for (const exchange of [...this.running]) exchange.fail('failed', 'the probe is closed');
    this.plain.destroy();
    for (const agent of this.secure.values()) agent.destroy();
    this.secure.clear();
  }

  /** Throws on a path or an origin that is no URL. */
  private send({ origin, tls, authorization }: ProbeAccess, path: string): ClientRequest {
    const { hostname, port } = new URL(origin);
    const options = {
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port,
      path,
      headers: authorization === null ? {} : { authorization },
    };
    if (tls === null) return httpRequest({ ...options, agent: this.plain });
    return httpsRequest({ ...options, agent: this.secureAgent(tls) });
  }

  /** One agent for each set of TLS settings ever used: they change when certificates rotate, and an idle one is small. */
  private secureAgent(tls: TlsSettings): HttpsAgent {
    const key = `${tls.serverName ?? ''}\n${tls.ca ?? ''}`;
    const known = this.secure.get(key);
    if (known !== undefined) return known;
    const agent = new HttpsAgent({
      keepAlive: true,
      maxSockets: connectionsPerEndpoint,
      ...(tls.ca === undefined ? {} : { ca: tls.ca }),
      ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
    });
    this.secure.set(key, agent);
    return agent;
  }
}

/** One probe under way. */
class Exchange {
  private readonly maxBytes: number;
  private done: ((result: ProbeResult) => void) | null;
  private request: ClientRequest | null = null;
  private readonly chunks: Buffer[] = [];
  private bytes = 0;

  constructor(maxBytes: number, done: (result: ProbeResult) => void) {
    this.maxBytes = maxBytes;
    this.done = done;
  }

  start(send: () => ClientRequest): void {
    let request: ClientRequest;
    try {
      request = send();
    } catch (error) {
      queueMicrotask(() => this.fail('failed', String(error)));
      return;
    }
    this.request = request;
    request.on('response', (response) => this.read(response));
    request.on('error', (error) => {
      // An engine may close an idle connection just as the probe is sent on it: that says nothing of the engine.
      const stale = request.reusedSocket && faultOf(error) === 'reset' && this.done !== null && this.bytes === 0;
      if (stale) this.start(send);
      else this.finish({ ok: false, fault: faultOf(error), message: error.message });
    });
    request.end();
  }

  fail(fault: ProbeFault, message: string): void {
    this.finish({ ok: false, fault, message });
    this.request?.destroy();
  }

  private read(response: IncomingMessage): void {
    const status = response.statusCode ?? 0;
    if (status >= 300) {
      this.fail('status', `answered with status ${status}`);
      return;
    }
    response.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      if (this.bytes > this.maxBytes) this.fail('too_large', `the answer is longer than ${this.maxBytes} bytes`);
      else this.chunks.push(chunk);
    });
    response.on('end', () => this.finish({ ok: true, body: Buffer.concat(this.chunks, this.bytes) }));
    response.on('error', (error) => this.finish({ ok: false, fault: faultOf(error), message: error.message }));
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
  ['ETIMEDOUT', 'timeout'],
]);

function faultOf(error: Error): ProbeFault {
  return ('code' in error ? faults.get(error.code) : undefined) ?? 'failed';
}
