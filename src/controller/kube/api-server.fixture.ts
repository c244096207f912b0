import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KubeObject } from './contract.ts';
import type { KubeConnection } from './kube-connection.ts';
import { FixedCredentials } from './credentials.ts';

/** An object as it is sent and held. */
export interface ApiObject extends KubeObject {
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly series?: { readonly count: number };
}

/** A request as the server saw it. */
export interface Seen {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: ApiObject;
}

/** What the server does in place of its duty: an answer, silence, or a broken connection. */
export type Reply =
  'hang' | 'cut' | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: unknown };

type Fault = (seen: Seen) => Reply | null;

interface Watch {
  readonly path: string;
  readonly response: ServerResponse;
}

interface Change {
  readonly version: number;
  readonly line: string;
}

interface Collection {
  readonly objects: Map<string, ApiObject>;
  changes: Change[];
}

/** A small API server on loopback: collections with lists in pages, watches, versions and conflicts; faults on demand. */
export class ApiServer {
  readonly seen: Seen[] = [];
  readonly watches = new Set<Watch>();
  /** Asked first, newest first; null passes the request on. */
  readonly faults: Fault[] = [];
  version = 100;
  /** Watches and continued lists from before it are answered 410. */
  oldest = 0;
  private readonly collections = new Map<string, Collection>();
  private readonly server: Server;

  private constructor() {
    this.server = createServer((request, response) => void this.answer(request, response));
  }

  static async start(): Promise<ApiServer> {
    const server = new ApiServer();
    await new Promise<void>((resolve) => server.server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get connection(): KubeConnection {
    const { port } = this.server.address() as AddressInfo;
    return {
      server: new URL(`http://127.0.0.1:${port}`),
      namespace: 'a',
      source: 'test',
      tls: {},
      credentials: new FixedCredentials({ authorization: 'Bearer t' }),
    };
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** Does this once instead of the next request that fits. */
  once(fits: (seen: Seen) => boolean, reply: Reply): void {
    const fault: Fault = (seen) => {
      if (!fits(seen)) return null;
      this.faults.splice(this.faults.indexOf(fault), 1);
      return reply;
    };
    this.faults.unshift(fault);
  }

  /** Does this instead of every request that fits; the returned function ends it. */
  always(fits: (seen: Seen) => boolean, reply: Reply): () => void {
    const fault: Fault = (seen) => (fits(seen) ? reply : null);
    this.faults.unshift(fault);
    return () => void this.faults.splice(this.faults.indexOf(fault), 1);
  }

  count(fits: (seen: Seen) => boolean): number {
    return this.seen.filter(fits).length;
  }

  /** Creates or replaces an object and tells the watches. */
  put(path: string, object: ApiObject): ApiObject {
    const { objects } = this.collection(path);
    const type = objects.has(object.metadata.name) ? 'MODIFIED' : 'ADDED';
    return this.change(path, type, object);
  }

  get(path: string, name: string): ApiObject {
    const object = this.collection(path).objects.get(name);
    if (object === undefined) throw new Error(`${path}/${name} is not there`);
    return object;
  }

  remove(path: string, name: string): void {
    this.change(path, 'DELETED', this.get(path, name));
  }

  /** Takes an object away without telling any watch, as if they all had been away. */
  removeUnseen(path: string, name: string): void {
    this.version += 1;
    this.collection(path).objects.delete(name);
  }

  /** Sends a bookmark of the current version. */
  bookmark(): void {
    this.line({ type: 'BOOKMARK', object: { kind: 'X', metadata: { resourceVersion: String(this.version) } } });
  }

  /** Writes a line, an event or anything, to every watch. */
  line(line: unknown): void {
    const text = typeof line === 'string' ? line : JSON.stringify(line);
    for (const { response } of this.watches) response.write(`${text}\n`);
  }

  endWatches(): void {
    for (const { response } of this.watches) response.end();
  }

  cutWatches(): void {
    for (const { response } of this.watches) response.destroy();
  }

  private collection(path: string): Collection {
    let collection = this.collections.get(path);
    if (collection === undefined) {
      collection = { objects: new Map(), changes: [] };
      this.collections.set(path, collection);
    }
    return collection;
  }

  private change(path: string, type: string, object: ApiObject): ApiObject {
    this.version += 1;
    const collection = this.collection(path);
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.version) } };
    if (type === 'DELETED') collection.objects.delete(object.metadata.name);
    else collection.objects.set(object.metadata.name, stored);
    const line = JSON.stringify({ type, object: stored });
    collection.changes.push({ version: this.version, line });
    for (const watch of this.watches) if (watch.path === path) watch.response.write(`${line}\n`);
    return stored;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    let text = '';
    for await (const piece of request) text += String(piece);
    const seen: Seen = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: JSON.parse(text || '{}'),
    };
    this.seen.push(seen);
    const reply =
      this.faults.reduce<Reply | null>((found, fault) => found ?? fault(seen), null) ?? this.serve(seen, response);
    if (reply === 'cut') response.destroy();
    else if (typeof reply === 'object') send(response, reply);
  }

  private serve(seen: Seen, response: ServerResponse): Reply {
    if (seen.query.get('watch') === 'true') return this.watch(seen, response);
    if (seen.method === 'POST') return this.create(seen);
    const parent = seen.path.slice(0, seen.path.lastIndexOf('/'));
    const name = seen.path.slice(parent.length + 1);
    if (seen.method === 'GET' && !this.isNamed(parent)) return this.list(seen);
    const held = this.collection(parent).objects.get(name);
    if (held === undefined) return status(404, 'not found');
    if (seen.method === 'GET') return { status: 200, body: held };
    if (seen.method === 'PATCH') return { status: 200, body: this.put(parent, { ...held, ...seen.body }) };
    if (seen.body.metadata.resourceVersion !== held.metadata.resourceVersion) return status(409, 'conflict');
    return { status: 200, body: this.put(parent, seen.body) };
  }

  /** Collections have a plural of their own at the end; a Lease or an Event is asked for by its name. */
  private isNamed(parent: string): boolean {
    return parent.endsWith('/leases') || parent.endsWith('/events');
  }

  private create({ path, body }: Seen): Reply {
    if (this.collection(path).objects.has(body.metadata.name)) return status(409, 'exists');
    return { status: 201, body: this.put(path, body) };
  }

  private list({ path, query }: Seen): Reply {
    const [at, from] = (query.get('continue') ?? `${this.version}:0`).split(':').map(Number);
    if (at < this.oldest) return status(410, 'continue token too old');
    const end = from + Number(query.get('limit') ?? 500);
    const all = [...this.collection(path).objects.values()];
    const next = end < all.length ? { continue: `${at}:${end}` } : {};
    return { status: 200, body: { metadata: { resourceVersion: String(at), ...next }, items: all.slice(from, end) } };
  }

  private watch({ path, query }: Seen, response: ServerResponse): Reply {
    const from = Number(query.get('resourceVersion'));
    if (from < this.oldest) return status(410, 'too old resource version');
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const watch = { path, response };
    this.watches.add(watch);
    response.on('close', () => this.watches.delete(watch));
    for (const { version, line } of this.collection(path).changes) if (version > from) response.write(`${line}\n`);
    return 'hang';
  }
}

function status(code: number, message: string): Reply {
  return { status: code, body: { kind: 'Status', code, message } };
}

function send(response: ServerResponse, { status, headers, body }: Exclude<Reply, string>): void {
  response.writeHead(status, headers);
  response.end(typeof body === 'string' ? body : JSON.stringify(body ?? {}));
}

/** Lets the loop turn until it is so; the test's own time-out ends it otherwise. */
export async function until(so: () => boolean): Promise<void> {
  while (!so()) await new Promise(setImmediate);
}
