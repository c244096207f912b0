import type { Agent, Dispatcher } from 'undici';
import type { Clock } from '../../router/clock.ts';
import type { Connection } from '../../router/policy.ts';
import { readAnswer, type AnswerText } from '../answer-text.ts';
import { Breaker } from '../breaker.ts';
import { parseAnswer } from './answer.ts';
import type { Outcome, Question, Renderer } from './contract.ts';

/** A million tokens of seven digits. */
const answerLimitBytes = 8 * 1024 * 1024;
/** Milliseconds after which an answer would serve nobody: the exchange ends and counts as the engine's failure. */
const exchangeLimit = 2_000;
/** Questions at one time that nobody waits for. */
const mostInBackground = 4;
/** Engines' API servers tokenise one prompt after the other: more connections only queue there. */
const connectionsPerEngine = 8;

export interface EngineRendererOptions {
  readonly connection: Connection;
  /** Whether the engine at an address may be asked now. */
  readonly isReady: (address: string) => boolean;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Questions at one time; more than these go without. */
  readonly maxInFlight?: number;
}

/** Has ready engines tokenise by `POST /tokenize`, each as long as its own breaker is closed. */
export class EngineRenderer implements Renderer {
  private readonly options: EngineRendererOptions;
  private readonly agent: Promise<Agent>;
  private readonly breakers = new Map<string, Breaker>();
  private readonly maxInFlight: number;
  private inFlight = 0;
  private inBackground = 0;

  constructor(options: EngineRendererOptions) {
    this.options = options;
    this.maxInFlight = options.maxInFlight ?? 64;
    // The library takes 25 MB: a router whose groups ask no engine goes without.
    this.agent = import('undici').then(({ Agent }) => new Agent(agentOptions(options.connection)));
  }

  async ask(question: Question): Promise<Outcome> {
    const { background } = question;
    if (this.inFlight >= this.maxInFlight || (background && this.inBackground >= mostInBackground)) return 'too_many';
    const engine = this.choose(question.candidates);
    if (typeof engine === 'string') return engine;
    this.inFlight += 1;
    if (background) this.inBackground += 1;
    try {
      return await this.exchangeWith(engine, question);
    } finally {
      this.inFlight -= 1;
      if (background) this.inBackground -= 1;
    }
  }

  /** Ends the connections, questions under way too. */
  async close(): Promise<void> {
    await (await this.agent).destroy();
  }

  /** An engine that has just died is not known to be dead yet: another one is asked then. */
  private async exchangeWith(engine: Admitted, { body, candidates }: Question): Promise<Outcome> {
    const text = JSON.stringify(body);
    const outcome = await this.exchange(engine, text);
    if (outcome !== 'unreachable') return outcome;
    const other = this.choose(candidates.filter((address) => address !== engine.address));
    return typeof other === 'string' ? outcome : this.exchange(other, text);
  }

  /** A ready engine, by chance: they all tokenise alike. */
  private choose(candidates: readonly string[]): Admitted | 'no_engine' | 'breaker_open' {
    const { isReady, random } = this.options;
    const start = Math.floor(random() * candidates.length);
    let ready = false;
    for (let i = 0; i < candidates.length; i++) {
      const address = candidates[(start + i) % candidates.length];
      if (!isReady(address)) continue;
      ready = true;
      const breaker = this.breakerOf(address, candidates);
      const ticket = breaker.admit();
      if (ticket !== null) return { address, breaker, ticket };
    }
    return ready ? 'breaker_open' : 'no_engine';
  }

  private breakerOf(address: string, candidates: readonly string[]): Breaker {
    const known = this.breakers.get(address);
    if (known !== undefined) return known;
    // Engines come and go under ever new addresses.
    if (this.breakers.size > 2 * candidates.length) {
      const live = new Set(candidates);
      for (const old of this.breakers.keys()) if (!live.has(old)) this.breakers.delete(old);
    }
    const breaker = new Breaker(this.options.clock, this.options.random);
    this.breakers.set(address, breaker);
    return breaker;
  }

  private async exchange(engine: Admitted, body: string): Promise<Outcome> {
    const abort = new AbortController();
    const cancel = this.options.clock.after(exchangeLimit, () => abort.abort());
    try {
      return this.settle(await this.send(engine.address, body, abort.signal), engine);
    } catch {
      // undici's many errors are one thing to the reader of a counter: the engine could not be talked to.
      engine.breaker.failed(engine.ticket);
      return abort.signal.aborted ? 'timeout' : 'unreachable';
    } finally {
      cancel();
    }
  }

  private async send(address: string, body: string, signal: AbortSignal): Promise<AnswerText> {
    const { scheme, apiKey } = this.options.connection;
    const headers = { 'content-type': 'application/json', accept: 'application/json' };
    const response: Dispatcher.ResponseData = await (
      await this.agent
    ).request({
      origin: `${scheme}://${address}`,
      method: 'POST',
      path: '/tokenize',
      headers: apiKey === undefined ? headers : { ...headers, authorization: `Bearer ${apiKey}` },
      body,
      signal,
    });
    return readAnswer(response, answerLimitBytes);
  }

  private settle({ status, text }: AnswerText, { breaker, ticket }: Admitted): Outcome {
    if (status !== 200) {
      // An engine that refuses one prompt is alive: a client must not be able to shut it off for all.
      if (status >= 500 || isPathMissing(status, text)) breaker.failed(ticket);
      else breaker.succeeded(ticket);
      return 'status';
    }
    const ids = text === null ? null : parseAnswer(text);
    if (ids === null) breaker.failed(ticket);
    else breaker.succeeded(ticket);
    return ids ?? (text === null ? 'answer_too_large' : 'answer_invalid');
  }
}

interface Admitted {
  readonly address: string;
  readonly breaker: Breaker;
  readonly ticket: number;
}

/** Whether it is the path that the engine does not know; an unknown model comes as an error object. */
function isPathMissing(status: number, text: string | null): boolean {
  return (status === 404 || status === 405) && text?.includes('"error"') !== true;
}

/** Our own timer covers waiting and reading; a connection attempt outlives its question, so it has a limit. */
function agentOptions({ ca, serverName }: Connection): Agent.Options {
  return {
    connections: connectionsPerEngine,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: {
      timeout: exchangeLimit,
      ...(ca === undefined ? {} : { ca }),
      ...(serverName === undefined ? {} : { servername: serverName }),
    },
  };
}
