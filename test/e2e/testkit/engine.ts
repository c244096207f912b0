import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

/** A request as an engine saw it. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export type Script = (seen: Seen, response: ServerResponse) => void;

/** An engine that keeps what it is sent and answers as a test wants; probes and scrapes are answered and not kept. */
export class ScriptedEngine {
  readonly seen: Seen[] = [];
  /** Requests whose answers are under way. */
  open = 0;
  address = '';
  /** What a scrape gets. */
  metrics = '';
  script: Script;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private readonly models: readonly string[];

  private constructor(models: readonly string[], script: Script, tls: { cert: string; key: string } | null) {
    this.models = models;
    this.script = script;
    const listener = (request: IncomingMessage, response: ServerResponse): void => this.receive(request, response);
    this.server = tls === null ? createServer(listener) : createTlsServer(tls, listener);
    this.server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
  }

  static async start(
    models: readonly string[],
    script: Script = echo,
    tls: { cert: string; key: string } | null = null,
  ): Promise<ScriptedEngine> {
    const engine = new ScriptedEngine(models, script, tls);
    await new Promise<void>((resolve) => engine.server.listen(0, '127.0.0.1', resolve));
    engine.address = `127.0.0.1:${(engine.server.address() as AddressInfo).port}`;
    return engine;
  }

  get last(): Seen {
    const seen = this.seen.at(-1);
    if (seen === undefined) throw new Error('the engine has seen no request');
    return seen;
  }

  /** Resets all connections and stops. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.resetAndDestroy();
    await closed;
  }

  private receive(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      if (url === '/health') response.end();
      else if (url === '/metrics') response.end(this.metrics);
      else if (url === '/v1/models') sendObject(response, { object: 'list', data: this.models.map((id) => ({ id })) });
      else {
        const seen = { method, url, headers, body: Buffer.concat(chunks).toString('utf8') };
        this.seen.push(seen);
        this.open += 1;
        response.on('close', () => (this.open -= 1));
        this.script(seen, response);
      }
    });
  }
}

export function sendObject(response: ServerResponse, body: object, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** Answers as an engine does, in one piece or in two events, with the model that it was asked for. */
export function echo({ body }: Seen, response: ServerResponse): void {
  const { model, stream } = JSON.parse(body) as { model: string; stream?: boolean };
  const choices = [{ index: 0, message: { role: 'assistant', content: 'yes' }, finish_reason: 'stop' }];
  if (stream !== true) {
    sendObject(response, { id: 'chatcmpl-1', object: 'chat.completion', model, choices });
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const chunk = { id: 'chatcmpl-1', object: 'chat.completion.chunk', model, choices: [{ delta: { content: 'yes' } }] };
  response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  response.end('data: [DONE]\n\n');
}
