import { errorText } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import { accountOf, type KubeAccount } from './account.ts';
import {
  KubeUnreachable,
  type KubeClient,
  type KubeRequest,
  type KubeResponse,
  type WatchHandler,
} from './contract.ts';
import type { KubeConnection } from './kube-connection.ts';
import { readAll, retryAfterOf, Transport, unreachable, type Outgoing } from './transport.ts';
import { WatchStream } from './watch-stream.ts';

const defaultTimeout = 15_000;
/** Bytes; a page of 500 objects of the largest size that etcd takes would be more, and no list of ours is like that. */
const maxAnswer = 128 * 1024 * 1024;

/** How often a verb got an answer: one series of `hermes_kube_requests_total`. */
export interface RequestCount {
  /** HTTP method, or `WATCH`. */
  readonly verb: string;
  /** HTTP status, or `none` where no answer came. */
  readonly status: string;
  count: number;
}

export interface HttpKubeClientOptions {
  readonly connection: KubeConnection;
  readonly clock: Clock;
  /** Of this program, for the `User-Agent`. */
  readonly version: string;
}

/** Calls to the API server over HTTP/1.1 with kept connections. */
export class HttpKubeClient implements KubeClient {
  readonly namespace: string;
  /** By `verb status`. */
  readonly requests: ReadonlyMap<string, RequestCount>;
  private readonly counts = new Map<string, RequestCount>();
  private readonly clock: Clock;
  private readonly connection: KubeConnection;
  private readonly transport: Transport;
  private readonly watches = new Set<WatchStream>();

  constructor({ connection, clock, version }: HttpKubeClientOptions) {
    this.namespace = connection.namespace;
    this.requests = this.counts;
    this.clock = clock;
    this.connection = connection;
    this.transport = new Transport(connection, `hermes-router/${version}`);
  }

  /** Rejects with KubeUnreachable, or with KubeConfigError where the credentials cannot be read. */
  async send(request: KubeRequest): Promise<KubeResponse> {
    const { timeout = defaultTimeout } = request;
    const abort = new AbortController();
    const cancel = this.clock.after(timeout, () => {
      abort.abort(new KubeUnreachable(`the API server gave no answer in ${timeout} ms`));
    });
    try {
      const answer = await this.exchange(request, abort.signal);
      this.count(request.method, String(answer.status));
      return answer;
    } catch (error) {
      this.count(request.method, 'none');
      throw error;
    } finally {
      cancel();
    }
  }

  watch(path: string, handler: WatchHandler): () => void {
    const stream: WatchStream = new WatchStream(this.transport, this.clock, handler, (status) => {
      this.watches.delete(stream);
      this.count('WATCH', status);
    });
    this.watches.add(stream);
    stream.start(path);
    return () => stream.close();
  }

  /** The service account that calls are made as; null for another identity. Rejects with KubeConfigError. */
  async account(): Promise<KubeAccount | null> {
    return accountOf((await this.connection.credentials.current()).authorization);
  }

  /** Ends all connections. Calls under way reject; watches end without a further call to their handlers. */
  close(): void {
    for (const stream of [...this.watches]) stream.close();
    this.transport.close();
  }

  private async exchange(request: KubeRequest, signal: AbortSignal): Promise<KubeResponse> {
    const response = await this.transport.open(outgoingOf(request), signal);
    const text = await readAll(response, maxAnswer);
    const status = response.statusCode ?? 0;
    const retryAfter = retryAfterOf(response);
    return { status, body: bodyOf(text, status), ...(retryAfter !== null && { retryAfter }) };
  }

  private count(verb: string, status: string): void {
    const key = `${verb} ${status}`;
    const held = this.counts.get(key);
    if (held === undefined) this.counts.set(key, { verb, status, count: 1 });
    else held.count += 1;
  }
}

function outgoingOf({ method, path, body, contentType = 'application/json' }: KubeRequest): Outgoing {
  if (body === undefined) return { method, path, headers: {} };
  const text = JSON.stringify(body);
  const headers = { 'content-type': contentType, 'content-length': String(Buffer.byteLength(text)) };
  return { method, path, headers, body: text };
}

/** A refusal may come from something in between that speaks no JSON; then the body is its text. */
function bodyOf(text: string, status: number): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (status >= 300) return text;
    throw unreachable(new Error(`the answer is no JSON: ${errorText(error)}`));
  }
}
