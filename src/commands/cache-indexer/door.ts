import { answerHitRates, answerMatchSort, type Knowledge } from '../../indexer/serve/answer.ts';
import { parseHitRateQuestion, parseMatchSortQuestion } from '../../indexer/serve/question.ts';
import { errorText, type Log } from '../../observability/log.ts';
import { BodyBudget } from '../../openai/body-budget.ts';
import { readBody } from '../../proxy/body-reader.ts';
import type { ClientRequest } from '../../proxy/http/connection.ts';
import type { Response } from '../../proxy/http/response.ts';
import { isJson } from '../../openai/media-type.ts';
import type { Clock } from '../../router/clock.ts';
import { isOurs, Refusal, sendRefusal, sendText } from './answers.ts';
import type { BearerToken } from './bearer-token.ts';
import type { QuestionTelemetry } from './telemetry.ts';

/** Bytes of one body. */
export const maxBody = 4 * 1024 * 1024;
/** Bytes of all bodies that are held at a time. */
const maxBuffered = 256 * 1024 * 1024;

export interface DoorDependencies {
  readonly knowledge: Knowledge;
  /** Null where anybody may ask. */
  readonly token: BearerToken | null;
  readonly telemetry: QuestionTelemetry;
  /** Lines of the body of `/readyz`, and whether it is so. */
  readonly readiness: () => { readonly ready: boolean; readonly lines: readonly string[] };
  readonly metrics: { readonly contentType: string; metrics(): Promise<string> };
  readonly clock: Clock;
  readonly log: Log;
}

type Answer = (bytes: Buffer, knowledge: Knowledge) => Promise<unknown>;

const questions: ReadonlyMap<string, Answer> = new Map<string, Answer>([
  // Parsing throws within the promise: what is wrong comes out at one place.
  ['/match_sort', async (bytes, knowledge) => answerMatchSort(parseMatchSortQuestion(bytes), knowledge)],
  ['/kv-cache/hit-rate', async (bytes, knowledge) => answerHitRates(parseHitRateQuestion(bytes), knowledge)],
]);

/** Takes HTTP requests and answers them. */
export class IndexerDoor {
  /** Set while the process drains: it is not ready, and answers tell clients to come back on another connection. */
  draining = false;
  private readonly dependencies: DoorDependencies;
  private readonly bodies = new BodyBudget({ maxBody, maxBuffered });
  private readonly open = new Set<Response>();

  constructor(dependencies: DoorDependencies) {
    this.dependencies = dependencies;
  }

  /** Questions under way. */
  get inFlight(): number {
    return this.open.size;
  }

  /** The process stops now. */
  cutAll(): void {
    for (const response of this.open) response.destroy();
    this.open.clear();
  }

  handle(request: ClientRequest, response: Response): void {
    if (this.draining) response.close = true;
    const { target, method } = request.head;
    const path = target.split('?', 1)[0];
    const answer = questions.get(path);
    if (answer !== undefined) this.take(request, response, { path, answer });
    else if (!isPage(path))
      this.refuse(response, 'other', new Refusal('unknown_url', 'nothing is served at this path'));
    else if (method !== 'GET')
      this.refuse(response, path, new Refusal('method_not_allowed', 'this path takes GET only', 'GET'));
    else this.page(path, response);
  }

  private page(path: Page, response: Response): void {
    const { readiness, metrics } = this.dependencies;
    if (path === '/healthz') sendText(response, 200, plain, 'ok\n');
    else if (path === '/readyz') {
      const { ready, lines } = this.draining ? { ready: false, lines: ['draining'] } : readiness();
      sendText(response, ready ? 200 : 503, plain, `${lines.join('\n')}\n`);
    } else {
      metrics.metrics().then(
        (text) => sendText(response, 200, metrics.contentType, text),
        (error: unknown) => this.refuse(response, path, error),
      );
    }
  }

  private take(request: ClientRequest, response: Response, { path, answer }: Asked): void {
    const startedAt = this.dependencies.clock.now();
    const fault = this.objection(request);
    if (fault !== null) {
      this.refuse(response, path, fault);
      return;
    }
    readBody(this.bodies, request, (error, bytes) => {
      if (error !== null) {
        this.refuse(response, path, error);
        return;
      }
      this.open.add(response);
      void answer(bytes, this.dependencies.knowledge)
        .then(
          (found) => this.send(response, found, { path, startedAt }),
          (failure: unknown) => this.refuse(response, path, failure),
        )
        .finally(() => {
          this.open.delete(response);
          this.bodies.release(bytes.length);
        });
    });
  }

  private objection({ head }: ClientRequest): Refusal | null {
    const { token } = this.dependencies;
    if (head.method !== 'POST') return new Refusal('method_not_allowed', 'this path takes POST only', 'POST');
    if (token !== null && !token.admits(valueOf(head.headers, 'authorization')))
      return new Refusal('invalid_api_key', 'send the token of cache-indexer as Authorization: Bearer');
    if (!isJson(valueOf(head.headers, 'content-type') ?? ''))
      return new Refusal('unsupported_media_type', 'the content type must be application/json');
    return null;
  }

  private send(response: Response, found: unknown, { path, startedAt }: { path: string; startedAt: number }): void {
    const { telemetry, clock } = this.dependencies;
    sendText(response, 200, 'application/json', JSON.stringify(found));
    telemetry.answered(path, (clock.now() - startedAt) / 1000);
  }

  private refuse(response: Response, path: string, error: unknown): void {
    const { telemetry, log } = this.dependencies;
    if (isOurs(error)) log.error('a request failed inside cache-indexer', { path, error: errorText(error) });
    if (response.closed || response.headersSent) return;
    telemetry.refused(path, sendRefusal(response, error));
  }
}

interface Asked {
  readonly path: string;
  readonly answer: Answer;
}

const plain = 'text/plain; charset=utf-8';
const pages = ['/healthz', '/readyz', '/metrics'] as const;
type Page = (typeof pages)[number];
const isPage = (path: string): path is Page => pages.some((page) => page === path);

function valueOf(headers: readonly string[], name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i].length === name.length && headers[i].toLowerCase() === name) return headers[i + 1];
  }
  return undefined;
}
