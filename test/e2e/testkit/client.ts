import { Agent, request, type Dispatcher } from 'undici';

/** Connections of one suite's clients. */
export class Client {
  private readonly origin: string;
  private readonly agent: Agent;

  constructor(address: string, options: Agent.Options = {}) {
    this.origin = `${options.connect === undefined ? 'http' : 'https'}://${address}`;
    this.agent = new Agent({
      connections: 256,
      pipelining: 1,
      headersTimeout: 60_000,
      bodyTimeout: 60_000,
      ...options,
    });
  }

  async get(path: string, headers: Headers = {}): Promise<Answer> {
    return whole(await this.open('GET', path, { headers }));
  }

  /** Posts an object as JSON, or bytes and text as they are. */
  async post(path: string, body: object | string, options: PostOptions = {}): Promise<Answer> {
    return whole(await this.open(options.method ?? 'POST', path, { ...options, body }));
  }

  chat(model: string, fields: object = {}, options: PostOptions = {}): Promise<Answer> {
    return this.post('/v1/chat/completions', chatBody(model, fields), options);
  }

  /** Starts a streaming chat and reads as far as its first event. */
  async stream(model: string, fields: object = {}, options: PostOptions = {}): Promise<EventStream> {
    const body = chatBody(model, { stream: true, ...fields });
    return this.streamOf('/v1/chat/completions', body, options);
  }

  async streamOf(path: string, body: object, options: PostOptions = {}): Promise<EventStream> {
    const response = await this.open('POST', path, { ...options, body });
    return new EventStream(response);
  }

  /** Closes all connections. */
  close(): Promise<void> {
    return this.agent.destroy();
  }

  private open(method: Dispatcher.HttpMethod, path: string, options: OpenOptions): Promise<Dispatcher.ResponseData> {
    const { body, headers = {}, signal } = options;
    const text = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    return request(this.origin + path, {
      method,
      dispatcher: this.agent,
      headers: { ...(text === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(text === undefined ? {} : { body: text }),
      ...(signal === undefined ? {} : { signal }),
    });
  }
}

type Headers = Readonly<Record<string, string>>;

export interface PostOptions {
  readonly headers?: Headers;
  readonly signal?: AbortSignal;
  readonly method?: Dispatcher.HttpMethod;
}

interface OpenOptions extends PostOptions {
  readonly body?: object | string;
}

/** A whole answer. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The error object of the answer; empty fields where there is none. */
  readonly error: ErrorObject;
}

export interface ErrorObject {
  readonly message?: string;
  readonly type?: string;
  readonly code?: string | number;
  readonly param?: string | null;
}

async function whole(response: Dispatcher.ResponseData): Promise<Answer> {
  const text = await response.body.text();
  return { status: response.statusCode, headers: response.headers, text, error: errorOf(text) };
}

export function errorOf(text: string): ErrorObject {
  if (!text.startsWith('{"error"')) return {};
  return (JSON.parse(text) as { error: ErrorObject }).error;
}

export function chatBody(model: string, fields: object = {}): object {
  return { model, messages: [{ role: 'user', content: 'Say something.' }], max_tokens: 4, ...fields };
}

/**
 * An answer of server-sent events. What comes is taken at once: a connection that breaks would take along what a
 * stream still holds.
 */
export class EventStream {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** All that has come so far. */
  text = '';
  /** Whether the connection broke before the answer was complete. */
  broken = false;
  private over = false;
  private readonly body: Dispatcher.ResponseData['body'];
  private news = Promise.withResolvers<void>();

  constructor(response: Dispatcher.ResponseData) {
    this.status = response.statusCode;
    this.headers = response.headers;
    this.body = response.body;
    this.body.setEncoding('utf8').on('data', (text: string) => {
      this.text += text;
      this.notify();
    });
    this.body.on('error', () => (this.broken = true));
    this.body.on('close', () => {
      this.over = true;
      this.notify();
    });
  }

  /** Waits until something has come. */
  async next(): Promise<void> {
    while (this.text === '' && !this.over) await this.news.promise;
  }

  /** Waits for the end, good or bad. */
  async drain(): Promise<this> {
    while (!this.over) await this.news.promise;
    return this;
  }

  /** The events' data so far. */
  get events(): string[] {
    return this.text.split('\n').flatMap((line) => (line.startsWith('data: ') ? [line.slice(6)] : []));
  }

  /** Leaves as a client that has lost interest. */
  abandon(): void {
    this.body.destroy();
  }

  private notify(): void {
    this.news.resolve();
    this.news = Promise.withResolvers();
  }
}
