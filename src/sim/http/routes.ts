import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { noFault, parseFault, FaultError, type Fault } from '../faults.ts';
import type { SimHost } from '../host.ts';
import { eventTopic, replayBatches, type KvEventAddresses } from '../kv-publisher.ts';
import { detokenize, tokenize } from '../tokens.ts';
import { badBody } from './errors.ts';
import { missingField, parseBody, stringField, type Body } from './body.ts';
import type { Call } from './call.ts';
import { ChatFormat } from './chat.ts';
import { CompletionFormat } from './completion.ts';
import { EmbeddingFormat } from './embedding.ts';
import { Exchange } from './exchange.ts';
import { exposition } from './exposition.ts';
import type { FormatOf } from './format.ts';
import * as generations from './generation.ts';
import { readBody } from './read-body.ts';
import { ResponseFormat } from './response.ts';
import { dieAfterAnswer, requestKind, sabotageOf, strikesAtOnce } from './sabotage.ts';
import { abortedRequests, transferRequest, type TransferRequest } from './transfer-params.ts';

/** Throws ApiError for any answer that is not 200. */
export type Handler = (call: Call) => Promise<void>;

export interface Route {
  readonly method: 'GET' | 'POST';
  readonly handler: Handler;
}

type Parse = (body: Body, limits: generations.EngineLimits) => generations.Generation;

/** An engine's paths. */
export const routes: ReadonlyMap<string, Route> = new Map<string, Route>([
  ['/v1/chat/completions', inference('chatcmpl-', generations.parseChat, (answer) => new ChatFormat(answer))],
  ['/v1/completions', inference('cmpl-', generations.parseCompletion, (answer) => new CompletionFormat(answer))],
  ['/v1/responses', inference('resp_', generations.parseResponse, (answer) => new ResponseFormat(answer))],
  ['/v1/embeddings', inference('embd-', generations.parseEmbedding, (answer) => new EmbeddingFormat(answer))],
  ['/v1/models', get(({ host }) => host.models.list(startedAt, host.maxModelLength))],
  ['/health', get(() => null)],
  ['/version', get(() => ({ version: '0.32.0' }))],
  ['/metrics', { method: 'GET', handler: sendMetrics }],
  ['/tokenize', post(tokenizeBody)],
  ['/detokenize', post(detokenizeBody)],
  ['/kv_event_sources', get(({ host }) => eventSources(host))],
  ['/sleep', post(({ host }) => (host.sleep(), null))],
  ['/wake_up', post(({ host }) => (host.wake(), null))],
  ['/is_sleeping', get(({ host }) => ({ is_sleeping: host.engine.sleeping }))],
  ['/reset_prefix_cache', post(({ host }) => (host.clearCache(), null))],
  ['/sim/state', get(({ host }) => host.state())],
  ['/sim/fault', post(setFault)],
]);

const startedAt = Math.floor(Date.now() / 1000);

export function sendJson(response: ServerResponse, status: number, json: string): void {
  const body = Buffer.from(json);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}

/** Answers with an object, or with an empty body for null. */
function get(answer: (call: Call) => object | null): Route {
  return { method: 'GET', handler: (call) => Promise.resolve(sendObject(call, answer(call))) };
}

function post(answer: (call: Call, bytes: Buffer) => object | null): Route {
  return { method: 'POST', handler: async (call) => sendObject(call, answer(call, await readBody(call.request))) };
}

function sendObject({ response }: Call, body: object | null): void {
  if (body === null) response.writeHead(200, { 'content-length': 0 }).end();
  else sendJson(response, 200, JSON.stringify(body));
}

function inference(prefix: string, parse: Parse, formatOf: FormatOf): Route {
  const handler = async (call: Call): Promise<void> => {
    const { host, request, response } = call;
    const bytes = await readBody(request);
    const fault = host.strike(requestKind(bytes));
    if (strikesAtOnce(fault, call)) return;
    checkContentType(request);
    const body = parseBody(bytes);
    const transfer: TransferRequest = host.nixl === null ? { type: 'plain' } : transferRequest(body);
    const generation = parseOrRefuse(call, transfer, () => parse(body, host));
    host.abortHeld(abortedRequests(body));
    if (response.closed) return;
    if (transfer.type === 'dead') {
      call.setFault({ ...noFault, type: 'die' });
      return;
    }
    const exchange = new Exchange(response, host, sabotageOf(fault));
    const requestId = givenRequestId(request);
    const id = prefix + (requestId ?? randomBytes(8).toString('hex'));
    const garbage = fault.type === 'garbage-params' ? (fault.shape ?? 'text') : null;
    if (fault.type === 'die-after-prefill') dieAfterAnswer(call);
    host.generate({
      generation,
      formatOf,
      exchange,
      id,
      requestId,
      transfer: kept(transfer, generation, fault),
      garbage,
    });
  };
  return { method: 'POST', handler };
}

/** A decoder that refuses a request gives its blocks back to the prefiller. */
function parseOrRefuse<T>({ host }: Call, transfer: TransferRequest, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    host.nixl?.refuse(transfer);
    throw error;
  }
}

/** Blocks are kept only where the limit has ended the answer, since else no decoder is needed, and never in mid-computation. */
function kept(transfer: TransferRequest, { finishReason }: generations.Generation, { when }: Fault): TransferRequest {
  if (transfer.type !== 'prefill') return transfer;
  return finishReason === 'length' && when !== 'during' ? transfer : { type: 'plain' };
}

function checkContentType(request: IncomingMessage): void {
  const type = (request.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
  if (type !== 'application/json')
    throw badBody(`1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed`, null);
}

function givenRequestId(request: IncomingMessage): string | null {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && given !== '' ? given : null;
}

function sendMetrics({ host, response }: Call): Promise<void> {
  const body = Buffer.from(
    exposition(
      host.ranks.map(({ engine }) => engine),
      {
        model: host.models.base,
        adapters: host.models.adapters.length,
        firstToken: host.firstTokens,
        nixl: host.nixl,
        external: host.connector !== 'none',
        now: Date.now() / 1000,
      },
    ),
  );
  const type = 'text/plain; version=1.0.0; charset=utf-8';
  response.writeHead(200, { 'content-type': type, 'content-length': body.length }).end(body);
  return Promise.resolve();
}

function tokenizeBody({ host }: Call, bytes: Buffer): object {
  const body = parseBody(bytes);
  host.models.resolve(stringField(body, 'model'));
  const prompt = stringField(body, 'prompt');
  const messages = body.get('messages');
  if (prompt === null && !Array.isArray(messages)) throw missingField(body, 'prompt');
  const opensAnswer = body.get('add_generation_prompt') !== false;
  const ids = prompt === null ? generations.chatPrompt(messages, opensAnswer) : tokenize(prompt);
  const tokens = Array.from(ids);
  const strings = body.get('return_token_strs') === true ? tokens.map((id) => detokenize([id])) : null;
  return { count: tokens.length, max_model_len: host.maxModelLength, tokens, token_strs: strings };
}

function detokenizeBody(_call: Call, bytes: Buffer): object {
  const body = parseBody(bytes);
  const tokens = body.get('tokens');
  if (!generations.isTokenIds(tokens)) throw missingField(body, 'tokens');
  return { prompt: detokenize(tokens) };
}

/** Where KV events come out, by data-parallel rank. */
function eventSources({ ranks }: SimHost): object {
  const sources = ranks.flatMap(({ publisher }) => publisher ?? []);
  return Object.fromEntries(sources.map(({ addresses }, rank) => [String(rank), eventSource(addresses)]));
}

function eventSource({ events, replay }: KvEventAddresses): object {
  return {
    enable_kv_cache_events: true,
    publisher: 'zmq',
    endpoint: events,
    replay_endpoint: replay,
    buffer_steps: replayBatches,
    hwm: 100_000,
    max_queue_size: 100_000,
    topic: eventTopic,
  };
}

function setFault(call: Call, bytes: Buffer): object {
  try {
    const fault = parseFault(Object.fromEntries(parseBody(bytes)));
    // A fault that strikes at once would take the answer's connection with it.
    call.response.on('finish', () => {
      call.setFault(fault);
    });
    return { fault: fault.type };
  } catch (error) {
    if (error instanceof FaultError) throw badBody(error.message, 'type');
    throw error;
  }
}
