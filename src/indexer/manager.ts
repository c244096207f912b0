import type { LookupFunction } from 'node:net';
import type { Dispatcher, Pool } from 'undici';
import type { Candidates } from '../router/candidates.ts';
import type { Clock } from '../router/clock.ts';
import type { LookupQuery, ManagerLookup } from '../router/foreknowledge.ts';
import type { PrefixSource } from '../router/prefix.ts';
import type { InferenceRequest } from '../router/request.ts';
import { readAnswer, type AnswerText } from './answer-text.ts';
import { Breaker } from './breaker.ts';
import { matchSortBody, parseMatchSort, type HitRates } from './match-sort.ts';

const answerLimitBytes = 1024 * 1024;

/**
 * What went wrong with a lookup: no answer in time, no connection (or a broken one), a status other than 200, an
 * answer over 1 MiB, an answer that is none, rows that had to be ignored (the others count), the breaker being open,
 * too many lookups in flight.
 */
export type ManagerFailure =
  | 'timeout'
  | 'unreachable'
  | 'status'
  | 'answer_too_large'
  | 'answer_invalid'
  | 'rows_ignored'
  | 'breaker_open'
  | 'too_many';

export interface ManagerLookupOptions {
  /** Full URL of the manager's `/match_sort`. */
  readonly url: URL;
  /** Milliseconds for the whole exchange. */
  readonly timeout: number;
  /** What is sent as `Authorization: Bearer`, asked for each time; null for nothing. */
  readonly token: () => string | null;
  /** Resolves the host; as the system does where it is left out. */
  readonly lookup?: LookupFunction;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly clock: Clock;
  /** Told of every failure; a place for a counter and a rate-limited warning. */
  readonly onFailure: (reason: ManagerFailure) => void;
  /** Lookups at one time; more than these go without. */
  readonly maxInFlight?: number;
}

/** A lookup with connections of its own. */
export interface OpenManagerLookup {
  readonly lookup: ManagerLookup;
  /** Ends the connections, running lookups too. */
  readonly close: () => Promise<void>;
}

const nothing: HitRates = new Map();

/**
 * Asks an external KV manager (`POST /match_sort`) which share of a prompt each endpoint has cached. A manager that
 * hangs delays at most `maxInFlight` requests by one time-out; then the breaker keeps it out of everybody's way.
 */
export function createManagerLookup(options: ManagerLookupOptions): OpenManagerLookup {
  const { url, clock, onFailure, maxInFlight = 64, lookup: resolve } = options;
  const connect = resolve === undefined ? {} : { connect: { lookup: resolve } };
  // Our own timer covers connecting, waiting and reading alike; a redirect is an answer like any other status.
  // The library takes 25 MB: a router whose groups ask no manager goes without.
  const pool = import('undici').then(
    ({ Pool }) =>
      new Pool(url.origin, {
        connections: maxInFlight,
        headersTimeout: 0,
        bodyTimeout: 0,
        connectTimeout: 0,
        ...connect,
      }),
  );
  const breaker = new Breaker(clock, options.random);
  let inFlight = 0;

  async function ask(body: string, ticket: number): Promise<HitRates> {
    const abort = new AbortController();
    const cancel = clock.after(options.timeout, () => abort.abort());
    try {
      return settle(await exchange(await pool, url, { body, token: options.token(), signal: abort.signal }), ticket);
    } catch {
      // undici's many errors are one thing to the reader of a counter: the manager could not be talked to.
      breaker.failed(ticket);
      onFailure(abort.signal.aborted ? 'timeout' : 'unreachable');
      return nothing;
    } finally {
      cancel();
    }
  }

  function settle(answer: AnswerText, ticket: number): HitRates {
    // A manager that refuses this one request is alive: a client must not be able to shut it off for all.
    if (answer.status >= 500) breaker.failed(ticket);
    if (answer.status !== 200) {
      if (answer.status < 500) breaker.succeeded(ticket);
      onFailure('status');
      return nothing;
    }
    const found = answer.text === null ? null : parseMatchSort(answer.text);
    if (found === null) {
      breaker.failed(ticket);
      onFailure(answer.text === null ? 'answer_too_large' : 'answer_invalid');
      return nothing;
    }
    breaker.succeeded(ticket);
    if (found.ignored > 0) onFailure('rows_ignored');
    return found.hitRates;
  }

  async function lookup(query: LookupQuery): Promise<HitRates | null> {
    if (inFlight >= maxInFlight) {
      onFailure('too_many');
      return null;
    }
    const body = matchSortBody(query);
    if (body === null) return null;
    const ticket = breaker.admit();
    if (ticket === null) {
      onFailure('breaker_open');
      return null;
    }
    inFlight += 1;
    try {
      return await ask(body, ticket);
    } finally {
      inFlight -= 1;
    }
  }

  return { lookup, close: async () => (await pool).destroy() };
}

interface Asking {
  readonly body: string;
  readonly token: string | null;
  readonly signal: AbortSignal;
}

async function exchange(pool: Pool, url: URL, { body, token, signal }: Asking): Promise<AnswerText> {
  const plain = { 'content-type': 'application/json', accept: 'application/json' };
  const response: Dispatcher.ResponseData = await pool.request({
    method: 'POST',
    path: url.pathname + url.search,
    headers: token === null ? plain : { ...plain, authorization: `Bearer ${token}` },
    body,
    signal,
  });
  return readAnswer(response, answerLimitBytes);
}

/** What an external KV manager has told of the request before the decision. */
export class ManagerSource implements PrefixSource {
  match(request: InferenceRequest, candidates: Candidates, out: Float64Array): void {
    const { managerHits } = request.known;
    const { endpoints, promptTokens } = candidates;
    for (let i = 0; i < candidates.length; i++) {
      out[i] = promptTokens * (managerHits?.get(endpoints[i].address) ?? 0);
    }
  }

  /** The manager learns of it from the engine itself. */
  routed(): void {}

  answered(): void {}

  /** The manager forgets by itself. */
  forget(): void {}
}
