import { timingSafeEqual } from 'node:crypto';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import type { Registry } from 'prom-client';
import { AdminError, explainRoutes, type ExplainSource } from './explain-api.ts';
import { errorText } from './log.ts';
import type { ReplicaReport } from './replica-report.ts';

/** What the small servers beside the proxy show. */
export interface AdminSources {
  /** Why the router is not ready, or null. */
  readonly notReady: () => string | null;
  readonly metrics: Registry;
  readonly table: () => unknown;
  readonly stats: () => ReplicaReport;
  /** Absent where nothing is decided. */
  readonly explain?: ExplainSource;
}

/** `/metrics`, `/healthz`, `/readyz`: what a kubelet and Prometheus reach; no secrets here. */
export function metricsApp(sources: AdminSources): Express {
  const app = bare();
  probes(app, sources);
  app.get('/metrics', (_request, response, next) => {
    sources.metrics
      .metrics()
      .then((text) => response.type(sources.metrics.contentType).send(text))
      .catch(next);
  });
  app.use(notFound);
  app.use(failed);
  return app;
}

/** The admin API: what is in force and what happened; for people and the leader, so it checks who asks. */
export function adminApp(sources: AdminSources, token: string | null): Express {
  const app = bare();
  app.use(refuseForeignOrigins);
  probes(app, sources);
  if (token !== null) app.use(requireToken(token));
  else app.use(requireLoopbackHost);
  app.get('/api/v1/table', (_request, response) => void response.json(sources.table()));
  app.get('/api/v1/stats', (_request, response) => void response.json(sources.stats()));
  if (sources.explain !== undefined) explainRoutes(app, sources.explain);
  app.use(notFound);
  app.use(failed);
  return app;
}

function bare(): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  return app;
}

function probes(app: Express, { notReady }: AdminSources): void {
  app.get('/healthz', (_request, response) => void response.type('text').send('ok\n'));
  app.get('/readyz', (_request, response) => {
    const reason = notReady();
    if (reason === null) response.type('text').send('ok\n');
    else response.status(503).type('text').send(`${reason}\n`);
  });
}

function refuse(response: Response, status: number, message: string): void {
  response.status(status).json({ error: { message } });
}

function notFound(_request: Request, response: Response): void {
  refuse(response, 404, 'nothing is served at this path');
}

/** What went wrong, without the stack that express would show; it knows error handlers by their four parameters. */
function failed(error: unknown, _request: Request, response: Response, next: NextFunction): void {
  if (response.headersSent) next(error);
  else if (error instanceof AdminError) refuse(response, error.status, error.message);
  else refuse(response, 500, errorText(error));
}

/** A web page of another site must not read the admin API through somebody's browser. */
function refuseForeignOrigins(request: Request, response: Response, next: NextFunction): void {
  const { origin, host } = request.headers;
  if (origin === undefined || origin === `http://${host}` || origin === `https://${host}`) next();
  else refuse(response, 403, 'requests of other origins are refused');
}

/** Without a token the API listens on loopback; a name that was made to point there is refused. */
function requireLoopbackHost(request: Request, response: Response, next: NextFunction): void {
  if (isLoopbackName(hostName(request.headers.host ?? ''))) next();
  else refuse(response, 403, 'the Host header must be localhost or a loopback address');
}

function requireToken(token: string) {
  const wanted = Buffer.from(`Bearer ${token}`);
  return (request: Request, response: Response, next: NextFunction): void => {
    const given = Buffer.from(request.headers.authorization ?? '');
    if (given.length === wanted.length && timingSafeEqual(given, wanted)) next();
    else refuse(response, 401, 'send the admin token as Authorization: Bearer');
  };
}

function hostName(host: string): string {
  return host.replace(/:[0-9]+$/, '').replace(/^\[(.*)\]$/, '$1');
}

/** Whether a host name or address can only mean this machine. */
export function isLoopbackName(name: string): boolean {
  return name === 'localhost' || name === '::1' || /^127(\.[0-9]{1,3}){3}$/.test(name);
}
