import type { IncomingMessage } from 'node:http';
import { errorText } from '../observability/log.ts';
import { UsageError } from './io.ts';
import { OutsideError } from './listen.ts';

const http = process.getBuiltinModule('node:http');

/** Milliseconds without a byte after which the router counts as gone. */
const patience = 30_000;

/** A question to the admin API. */
export interface AdminQuestion {
  /** Path and query. */
  readonly path: string;
  /** Posted where it is given. */
  readonly body?: Buffer;
  readonly token?: string;
}

export interface AdminAnswer {
  readonly status: number;
  readonly text: string;
}

/** Where the admin API is: `http://host:port`, or `host:port` as serve has it. Throws UsageError. */
export function adminUrl(text: string): URL {
  const url = URL.parse(/^[a-z]+:\/\//.test(text) ? text : `http://${text}`);
  if (url?.protocol === 'http:' && url.hostname !== '') return url;
  throw new UsageError(`--admin ${text}: write http://HOST:PORT`);
}

/** Asks the admin API. Rejects with OutsideError where nobody answers. */
export function askAdmin(base: URL, question: AdminQuestion): Promise<AdminAnswer> {
  const { body, token } = question;
  return new Promise((resolve, reject) => {
    const failed = (error: unknown): void =>
      reject(
        new OutsideError(`no answer from the admin API at ${base.origin}: ${errorText(error)}; is serve running?`),
      );
    const request = http.request(new URL(question.path, base), {
      method: body === undefined ? 'GET' : 'POST',
      agent: false,
      timeout: patience,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length }),
      },
    });
    request.on('error', failed);
    request.on('timeout', () => request.destroy(new Error(`silent for ${patience / 1000} s`)));
    request.on('response', (response) => void read(response).then(resolve, failed));
    request.end(body);
  });
}

async function read(response: IncomingMessage): Promise<AdminAnswer> {
  let text = '';
  response.setEncoding('utf8');
  for await (const piece of response) text += String(piece);
  return { status: response.statusCode ?? 0, text };
}
