import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { errorText } from '../../observability/log.ts';
import { KubeUnreachable } from './contract.ts';
import type { KubeConnection } from './kube-connection.ts';

const { Agent: HttpAgent, request: httpRequest } = process.getBuiltinModule('node:http');

/** Milliseconds of silence after which the kernel asks whether the server is still there. */
const keepAliveDelay = 15_000;

/** What goes over the line. */
export interface Outgoing {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Carries requests to one API server over kept connections; follows no redirect. */
export class Transport {
  private readonly connection: KubeConnection;
  private readonly agent: InstanceType<typeof HttpAgent>;
  private readonly secure: boolean;
  private readonly userAgent: string;

  constructor(connection: KubeConnection, userAgent: string) {
    this.connection = connection;
    this.userAgent = userAgent;
    this.secure = connection.server.protocol === 'https:';
    const options = { keepAlive: true, keepAliveMsecs: keepAliveDelay };
    this.agent = this.secure ? new HttpsAgent(options) : new HttpAgent(options);
  }

  /** The head of the answer; aborting `signal` also ends the body. Rejects with KubeUnreachable or KubeConfigError. */
  async open(outgoing: Outgoing, signal: AbortSignal): Promise<IncomingMessage> {
    const identity = await orAborted(this.connection.credentials.current(), signal);
    const { server, tls } = this.connection;
    const { authorization, ...certificate } = identity;
    const options: RequestOptions = {
      ...tls,
      ...certificate,
      protocol: server.protocol,
      hostname: server.hostname.replace(/^\[|\]$/g, ''),
      port: server.port,
      path: server.pathname.replace(/\/$/, '') + outgoing.path,
      method: outgoing.method,
      headers: {
        accept: 'application/json',
        'user-agent': this.userAgent,
        ...outgoing.headers,
        ...(authorization !== null && { authorization }),
      },
      agent: this.agent,
      signal,
    };
    const response = await head(this.secure ? httpsRequest(options) : httpRequest(options), outgoing.body);
    if (response.statusCode === 401) this.connection.credentials.refused();
    return response;
  }

  close(): void {
    this.agent.destroy();
  }
}

function head(request: ClientRequest, body: string | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('socket', (socket) => socket.setKeepAlive(true, keepAliveDelay));
    request.on('response', resolve);
    request.on('error', (error) => reject(unreachable(error)));
    request.end(body);
  });
}

async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(unreachable(signal.reason));
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** An aborted request says only that it was aborted; what is told is why. */
export function unreachable(error: unknown): KubeUnreachable {
  if (error instanceof KubeUnreachable) return error;
  const cause = error instanceof Error && error.name === 'AbortError' ? error.cause : error;
  if (cause instanceof KubeUnreachable) return cause;
  return new KubeUnreachable(`the API server gave no answer: ${errorText(cause)}`, { cause });
}

/** Milliseconds of a `Retry-After` in seconds; null for none and for a date, which the API server never sends. */
export function retryAfterOf(response: IncomingMessage): number | null {
  const seconds = Number(response.headers['retry-after'] ?? Number.NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : null;
}

/** Reads a body whole. Rejects with KubeUnreachable when it breaks off or is longer than `maxLength` bytes. */
export async function readAll(response: IncomingMessage, maxLength: number): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  try {
    for await (const piece of response as AsyncIterable<Buffer>) {
      length += piece.length;
      if (length > maxLength) throw new KubeUnreachable(`an answer is longer than ${maxLength} bytes`);
      pieces.push(piece);
    }
  } catch (error) {
    throw unreachable(error);
  }
  return Buffer.concat(pieces).toString('utf8');
}
