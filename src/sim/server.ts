import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Clock } from '../router/clock.ts';
import type { Engine } from './engine.ts';
import { noFault, type Fault } from './faults.ts';
import { SimHost, type SimState } from './host.ts';
import { ApiError, internalError, unauthorized, unknownPath, wrongMethod } from './http/errors.ts';
import { ServedModels } from './http/names.ts';
import { routes, sendJson } from './http/routes.ts';
import type { KvEventAddresses } from './kv-publisher.ts';
import { bindPublishers } from './ranks.ts';
import { defaultServiceModel, type ServiceModel } from './service-model.ts';
import { wallClock } from './wall-clock.ts';

const { createServer } = process.getBuiltinModule('node:http');

/** What a simulated engine is started with; everything but `models` has a default. */
export interface SimEngineOptions {
  /** The base model's names; the first one is the one that answers carry. */
  readonly models: readonly string[];
  /** LoRA adapters of the base model. */
  readonly adapters?: readonly string[];
  /** Default 127.0.0.1, a free port. */
  readonly host?: string;
  readonly port?: number;
  readonly service?: Partial<ServiceModel>;
  /** Tokens of prompt and output together; default 131,072 or the KV cache's size, whichever is smaller. */
  readonly maxModelLength?: number;
  readonly speedUp?: number;
  /** Of rank 0; rank r is at these ports + r. */
  readonly kvEvents?: KvEventAddresses | null;
  /** Data-parallel ranks, each with a KV cache of its own; default 1. */
  readonly ranks?: number;
  readonly fault?: Fault;
  /** When set, /v1/… wants `Authorization: Bearer KEY`. */
  readonly apiKey?: string | null;
  readonly clock?: Clock;
  /** Told of what goes wrong inside, such as an event socket that breaks. */
  readonly onError?: (error: unknown) => void;
  /** Told when the fault `die` has struck. */
  readonly onDeath?: () => void;
}

/** A running simulated engine. */
export interface SimEngine {
  /** `host:port` that it listens on. */
  readonly address: string;
  /** Of rank 0. */
  readonly kvEvents: KvEventAddresses | null;
  /** Rank 0. */
  readonly engine: Engine;
  state(): SimState;
  setFault(fault: Fault): void;
  /** Resets all connections and stops. */
  close(): Promise<void>;
}

/** Thrown when the options contradict each other; the message says what to change. */
export class SimEngineOptionError extends Error {
  override readonly name = 'SimEngineOptionError';
}

const usualModelLength = 131_072;

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
    engine: host.engine,
    state: () => host.state(),
    setFault: server.setFault,
    close: () => server.close(),
  };
}

async function startHost(options: SimEngineOptions): Promise<SimHost> {
  const service = { ...defaultServiceModel, ...options.service };
  const maxModelLength = options.maxModelLength ?? Math.min(usualModelLength, service.kvTokens);
  checkOptions(options, service, maxModelLength);
  const { kvEvents, ranks = 1, clock = wallClock, speedUp = 1, fault = noFault, onError = rethrow } = options;
  const models = new ServedModels(options.models, options.adapters ?? []);
  const publishers = kvEvents ? await bindPublishers(kvEvents, ranks, onError) : [];
  const host = new SimHost({ models, service, maxModelLength, clock, speedUp, publishers, ranks, onError });
  host.setFault(fault);
  return host;
}

function checkOptions(options: SimEngineOptions, service: ServiceModel, maxModelLength: number): void {
  if (options.models.length === 0) throw new SimEngineOptionError('at least one model name is needed');
  if (service.kvTokens % service.blockSize !== 0)
    throw new SimEngineOptionError(
      `a KV cache of ${service.kvTokens} tokens is no whole number of blocks of ${service.blockSize}`,
    );
  if (maxModelLength > service.kvTokens)
    throw new SimEngineOptionError(
      `a model length of ${maxModelLength} tokens does not fit a KV cache of ${service.kvTokens}; lower the one or raise the other`,
    );
}

function rethrow(error: unknown): never {
  throw error;
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
