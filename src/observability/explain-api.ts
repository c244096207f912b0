import express, { type Express, type NextFunction, type Request, type Response } from 'express';

/** A request to the admin API that cannot be answered; its message says what to do. */
export class AdminError extends Error {
  override readonly name = 'AdminError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** A request that nobody has sent, to be decided without being routed. */
export interface HypotheticalRequest {
  /** The policy to ask; null asks the one that would take it. */
  readonly policy: string | null;
  /** Where it would be sent, such as `/v1/chat/completions`. */
  readonly path: string;
  /** Name, value, name, value … as they came, without those that are the admin API's own. */
  readonly headers: readonly string[];
  /** An OpenAI body. */
  readonly body: Buffer;
}

/** Who can say why requests went where they went. Both throw AdminError for what they do not know. */
export interface ExplainSource {
  /** Bytes of a body at most. */
  readonly maxBody: number;
  /** The last explained decision of a policy, or of every policy that has one. */
  last(policy: string | null): readonly unknown[];
  hypothetical(request: HypotheticalRequest): Promise<unknown>;
}

const path = '/api/v1/explain';
const defaultPath = '/v1/chat/completions';

/** Headers that authorise or carry the question to the admin API; no policy gets to see them. */
const own = new Set(['authorization', 'cookie', 'connection', 'content-length', 'host', 'origin', 'transfer-encoding']);

/** `GET /api/v1/explain` tells last decisions, `POST` what would become of a request. */
export function explainRoutes(app: Express, source: ExplainSource): void {
  app.get(path, (request, response) => {
    response.json({ decisions: source.last(queryValue(request, 'policy')) });
  });
  const body = express.raw({ type: () => true, limit: source.maxBody, inflate: false });
  app.post(path, body, (request: Request, response: Response, next: NextFunction) => {
    const asked: HypotheticalRequest = {
      policy: queryValue(request, 'policy'),
      path: queryValue(request, 'path') ?? defaultPath,
      headers: foreignHeaders(request.rawHeaders),
      // Without a body nothing is parsed.
      body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
    };
    source
      .hypothetical(asked)
      .then((decision) => response.json({ decisions: [decision] }))
      .catch(next);
  });
  app.use(path, refuseUnread(source.maxBody));
  app.all(path, (_request, response) => {
    response
      .status(405)
      .set('allow', 'GET, POST')
      .json({ error: { message: 'explain takes GET and POST only' } });
  });
}

function queryValue(request: Request, name: string): string | null {
  const value: unknown = request.query[name];
  if (value === undefined || value === '') return null;
  if (typeof value === 'string') return value;
  throw new AdminError(400, `give ${name} once`);
}

function foreignHeaders(raw: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) if (!own.has(raw[i].toLowerCase())) kept.push(raw[i], raw[i + 1]);
  return kept;
}

/** Says in our words why a body could not be read; the reader's errors carry a status. */
function refuseUnread(maxBody: number) {
  return (error: unknown, _request: Request, _response: Response, next: NextFunction): void => {
    const status = statusOf(error);
    if (error instanceof AdminError) next(error);
    else if (status === 413)
      next(new AdminError(413, `the body is larger than ${maxBody} bytes; --max-body allows more`));
    else if (status === 415) next(new AdminError(415, 'send the body without content-encoding'));
    else if (status >= 400 && status < 500) next(new AdminError(status, 'the body could not be read; send it whole'));
    else next(error);
  };
}

function statusOf(error: unknown): number {
  return error instanceof Error && 'status' in error && typeof error.status === 'number' ? error.status : 500;
}
