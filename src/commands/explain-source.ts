import { AdminError, type ExplainSource, type HypotheticalRequest } from '../observability/explain-api.ts';
import type { RecordedDecision, ScoreBook } from '../observability/score-book.ts';
import { statusOf } from '../openai/answers.ts';
import { ScratchRequest } from '../openai/scratch-request.ts';
import { foreknow } from '../openai/foreknow.ts';
import { unknownModel } from '../openai/model-list.ts';
import { parsePayload } from '../openai/payload.ts';
import { RequestHeaders } from '../proxy/request-headers.ts';
import { routeOf } from '../openai/routes.ts';
import { RoutingError } from '../router/errors.ts';
import type { Explanation } from '../router/explanation.ts';
import { nothingForeknown } from '../router/foreknowledge.ts';
import type { RoutingPolicy } from '../router/policy.ts';
import { readsAnyHits } from '../router/profiles.ts';
import type { Router } from '../router/router.ts';
import type { RoutingTable, TableStore } from '../router/table.ts';

/** Names that an error lists at most. */
const listed = 10;

export interface ExplainParts {
  readonly store: TableStore;
  readonly router: Router;
  readonly book: ScoreBook<Explanation>;
  /** Bytes of a body at most. */
  readonly maxBody: number;
  /** That of the front door. */
  readonly promptSecret: number;
}

/** A decision as the admin API tells it. */
export interface ToldDecision extends Explanation {
  /** When it was made (or would be), as an ISO 8601 date. */
  readonly at: string;
  /** Nobody has sent the request. */
  readonly hypothetical: boolean;
}

/** Answers `/api/v1/explain` from the router itself. Hypothetical requests are read as the front door reads real ones. */
export function explainSource({ store, router, book, maxBody, promptSecret }: ExplainParts): ExplainSource {
  const scratch = new ScratchRequest(promptSecret);

  async function hypothetical(asked: HypotheticalRequest): Promise<ToldDecision> {
    const path = enginePath(asked.path);
    const payload = parsePayload(asked.body);
    const headers = new RequestHeaders(asked.headers);
    const table = store.current;
    const model = payload.model === '' ? onlyModel(table) : payload.model;
    const policy = asked.policy === null ? table.match(model, headers) : named(table, asked.policy);
    if (policy === null) throw unknownModel(table, model);
    const known = readsAnyHits(policy) ? await foreknow(policy, { model, path, payload }) : nothingForeknown;
    // After the only await: the object is every hypothetical request's.
    scratch.describe(payload, { model, headers, known, requestId: '' });
    const explanation = router.explain(policy, scratch);
    if (explanation !== null) return told({ at: Date.now(), decision: explanation }, true);
    throw new AdminError(503, `${policy.key} has never been valid; its status says what is wrong`);
  }

  return {
    maxBody,
    last(key) {
      const table = store.current;
      const policies = key === null ? table.policies : [named(table, key)];
      return policies.flatMap((policy) => {
        const found = book.last(policy.key);
        return found === null ? [] : [told(found, false)];
      });
    },
    hypothetical: (asked) => hypothetical(asked).catch(refuse),
  };
}

function told({ at, decision }: RecordedDecision<Explanation>, hypothetical: boolean): ToldDecision {
  return { at: new Date(at).toISOString(), hypothetical, ...decision };
}

function named(table: RoutingTable, key: string): RoutingPolicy {
  const found = table.policies.find((policy) => policy.key === key);
  if (found !== undefined) return found;
  throw new AdminError(
    404,
    `there is no policy ${key.slice(0, 256)}; ${listOf(
      'known',
      table.policies.map((policy) => policy.key),
    )}`,
  );
}

/** A request without a model is fine where there is only one. */
function onlyModel({ models }: RoutingTable): string {
  if (models.length === 1) return models[0];
  throw new AdminError(400, `name a model in the body; ${listOf('served', models)}`);
}

function listOf(verb: string, names: readonly string[]): string {
  if (names.length === 0) return `none is ${verb} yet`;
  return `${verb} are ${names.slice(0, listed).join(', ')}${names.length > listed ? ', …' : ''}`;
}

function enginePath(path: string): string {
  const mark = path.indexOf('?');
  const route = routeOf(mark < 0 ? path : path.slice(0, mark));
  if (route?.kind === 'inference') return route.path;
  throw new AdminError(400, 'no inference request goes to this path; try /v1/chat/completions');
}

/** What a client would be told, in the same words. */
function refuse(error: unknown): never {
  if (error instanceof RoutingError) throw new AdminError(statusOf(error.code), error.message);
  throw error;
}
