import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Engine } from './engine.ts';
import type { SimEngineOptions } from './engine-options.ts';
import type { Fault } from './faults.ts';
import type { SimHost, SimState } from './host.ts';
import { ApiError, internalError, unauthorized, unknownPath, wrongMethod } from './http/errors.ts';
import { routes, sendJson } from './http/routes.ts';
import type { KvEventAddresses } from './kv-publisher.ts';
import { startHost } from './start-host.ts';
import { wallClock } from './wall-clock.ts';

export { SimEngineOptionError, type KvTransferOptions, type SimEngineOptions } from './engine-options.ts';

const { createServer } = process.getBuiltinModule('node:http');

/** A running simulated engine. */
export interface SimEngine {
  /** `host:port` that it listens on. */
  readonly address: string;
  /** Of rank 0. */
  readonly kvEvents: KvEventAddresses | null;
  /** The side channel's `host:port`; null without NIXL. */
  readonly sideChannel: string | null;
  /** Rank 0. */
  readonly engine: Engine;
  state(): SimState;
  setFault(fault: Fault): void;
  /** Resets all connections and stops. */
  close(): Promise<void>;
}

/** Starts a simulated engine; rejects with the system's error when an address is taken. */
export async function startSimEngine(options: SimEngineOptions): Promise<SimEngine> {
  const host = await startHost(options);
  const server = new SimServer(host, options);
  try {
    await server.listen(options.port ?? 0);
  } catch (error) {
    host.stop();
    throw error;
  }
  return {
    address: server.address,
    kvEvents: host.ranks[0].publisher?.addresses ?? null,
    sideChannel: host.nixl?.address ?? null,
    engine: host.engine,
    state: () => host.state(),
    setFault: server.setFault,
    close: () => server.close(),
  };
}

/** The HTTP side: connections, routes, and the faults that strike whole connections. */
class SimServer {
  address = '';
  private readonly host: SimHost;
  private readonly options: SimEngineOptions;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private cancelReturn: (() => void) | null = null;

  constructor(host: SimHost, options: SimEngineOptions) {
    this.host = host;
    this.options = options;
    // Idle connections are closed after 5 s, as uvicorn does, so that a client's reuse meets that race here too.
    this.server = createServer({ keepAliveTimeout: 5_000, requestTimeout: 0 }, this.onRequest);
    this.server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('close', () => this.sockets.delete(socket));
    });
  }

  async listen(port: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.server.once('error', reject);
    this.server.listen(port, this.options.host ?? '127.0.0.1', () => {
      this.server.off('error', reject);
      resolve();
    });
    await promise;
    const bound = this.server.address();
    if (isAddressInfo(bound))
      this.address = `${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`;
  }

  async close(): Promise<void> {
    this.cancelReturn?.();
    this.host.stop();
    await this.stopListening();
  }

  readonly setFault = (fault: Fault): void => {
    this.host.setFault(fault);
    if (fault.type === 'die') this.die();
    if (fault.type === 'refuse') this.refuse(fault.seconds);
  };

  private die(): void {
    this.host.stop();
    this.stopListening().catch(this.failed);
    this.options.onDeath?.();
  }

  private refuse(seconds: number): void {
    this.cancelReturn?.();
    const port = Number(this.address.slice(this.address.lastIndexOf(':') + 1));
    const closed = this.stopListening();
    this.cancelReturn = (this.options.clock ?? wallClock).after(seconds * 1000, () => {
      closed.then(() => this.listen(port)).catch(this.failed);
    });
  }

  private async stopListening(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.server.close(() => {
      resolve();
    });
    for (const socket of this.sockets) socket.resetAndDestroy();
    await promise;
  }

  private readonly failed = (error: unknown): void => {
    (this.options.onError ?? rethrow)(error);
  };

  private readonly onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    this.answer(request, response).catch((error: unknown) => {
      this.answerError(response, error);
    });
  };

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').split('?')[0];
    const { apiKey } = this.options;
    if (apiKey && path.startsWith('/v1') && request.headers.authorization !== `Bearer ${apiKey}`) throw unauthorized();
    const route = routes.get(path);
    if (route === undefined) throw unknownPath();
    if (route.method !== request.method) {
      response.setHeader('allow', route.method);
      throw wrongMethod();
    }
    await route.handler({ host: this.host, request, response, setFault: this.setFault });
  }

  private answerError(response: ServerResponse, error: unknown): void {
    // The client has gone while it was sending: there is nobody to answer.
    if (response.destroyed || response.socket?.destroyed === true) return;
    if (!(error instanceof ApiError)) this.failed(error);
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const told = error instanceof ApiError ? error : internalError();
    sendJson(response, told.status, told.body);
  }
}

function isAddressInfo(value: string | AddressInfo | null): value is AddressInfo {
  return typeof value === 'object' && value !== null;
}

function rethrow(error: unknown): never {
  throw error;
}
