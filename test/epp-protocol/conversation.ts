import { expect } from 'vitest';
import { processPath, type Call, type Connection, type Status } from './grpc.ts';
import {
  bodyMessage,
  headersMessage,
  readAnswer,
  trailersMessage,
  type Answer,
  type Context,
  type Headers,
  type Immediate,
} from './messages.ts';

export const destination = 'x-gateway-destination-endpoint';
export const chatHeaders: Headers = {
  ':method': 'POST',
  ':scheme': 'http',
  ':authority': 'inference.example',
  ':path': '/v1/chat/completions',
  'content-type': 'application/json',
};
export const okHeaders: Headers = { ':status': '200', 'content-type': 'application/json' };

/** One HTTP request and its answer as a gateway tells a picker of them. */
export class Conversation {
  readonly call: Call;
  private readonly context: Context;

  constructor(connection: Connection, context: Context = {}) {
    this.call = connection.call(processPath);
    this.context = context;
  }

  headers(headers: Headers = chatHeaders, endOfStream = false): this {
    this.call.send(headersMessage('requestHeaders', headers, endOfStream, this.context));
    return this;
  }

  body(body: Buffer | string, endOfStream = true): this {
    this.call.send(bodyMessage('requestBody', Buffer.from(body), endOfStream, this.context));
    return this;
  }

  trailers(trailers: Headers = { 'x-sum': '1' }): this {
    this.call.send(trailersMessage('requestTrailers', trailers, this.context));
    return this;
  }

  /** The response phase; `context` is what the gateway then has as metadata. */
  responseHeaders(headers: Headers = okHeaders, endOfStream = false, context: Context = this.context): this {
    this.call.send(headersMessage('responseHeaders', headers, endOfStream, context));
    return this;
  }

  responseBody(body: Buffer | string, endOfStream: boolean): this {
    this.call.send(bodyMessage('responseBody', Buffer.from(body), endOfStream, this.context));
    return this;
  }

  responseTrailers(trailers: Headers = {}): this {
    this.call.send(trailersMessage('responseTrailers', trailers, this.context));
    return this;
  }

  /** The next answer; null where the call has ended. */
  async answer(): Promise<Answer | null> {
    const bytes = await this.call.next();
    return bytes === null ? null : readAnswer(bytes);
  }

  /** Fails where the next answer is of another kind. */
  async expect(kind: Answer['kind']): Promise<Answer> {
    const answer = await this.answer();
    if (answer !== null && answer.kind === kind) return answer;
    const said = answer === null ? `the end, ${JSON.stringify(await this.call.status)}` : JSON.stringify(answer);
    throw new Error(`${kind} was due and not ${said}`);
  }

  /** What a picked request is answered with: headers, then the body to its end. */
  async picked(): Promise<Picked> {
    const headers = await this.expect('requestHeaders');
    return { ...pickOf(headers), headers, ...(await this.bodyTo('requestBody')) };
  }

  /** Pieces of a body as far as the one that is the last. */
  async bodyTo(kind: 'requestBody' | 'responseBody'): Promise<{ body: Buffer; pieces: Buffer[] }> {
    const pieces: Buffer[] = [];
    for (let last = false; !last;) {
      const answer = await this.expect(kind);
      expect(answer.wrongMutation).toBe(false);
      if (answer.piece === null) throw new Error(`an answer to a body without a piece: ${JSON.stringify(answer)}`);
      pieces.push(answer.piece);
      last = answer.endOfStream;
    }
    return { body: Buffer.concat(pieces), pieces };
  }

  /** An answer in the engine's place; nothing else may come. */
  async refused(): Promise<Immediate & { headers: Readonly<Record<string, string>> }> {
    const { immediate, set } = await this.expect('immediate');
    if (immediate === null) throw new Error('an immediate answer without anything in it');
    this.call.halfClose();
    expect(await this.answer()).toBeNull();
    return { ...immediate, headers: Object.fromEntries(set.map(({ name, value }) => [name, value])) };
  }

  /** Plays an engine's answer to its end. */
  async finish(body = '{"usage":{"prompt_tokens":1,"completion_tokens":1}}'): Promise<Status> {
    this.responseHeaders();
    await this.expect('responseHeaders');
    this.responseBody(body, true);
    expect((await this.bodyTo('responseBody')).body.toString()).toBe(body);
    this.call.halfClose();
    return this.call.status;
  }
}

export interface Pick {
  /** The engine picked, then those to fall back upon. */
  readonly endpoints: readonly string[];
}

export interface Picked extends Pick {
  readonly headers: Answer;
  readonly body: Buffer;
  readonly pieces: readonly Buffer[];
}

/** Reads a pick, which must be in both places and the same. */
export function pickOf(answer: Answer): Pick {
  const header = answer.set.filter(({ name }) => name === destination);
  expect(header).toHaveLength(1);
  expect(answer.metadata).toEqual({ 'envoy.lb': { [destination]: header[0].value } });
  return { endpoints: header[0].value.split(',') };
}

export function subsetHint(value: string | readonly string[]): Context {
  return { metadata: { 'envoy.lb.subset_hint': { 'x-gateway-destination-endpoint-subset': value } } };
}
