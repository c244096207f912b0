import type { ClientRequest } from 'node:http';
import type { Clock } from '../../router/clock.ts';
import { parseEventSources, type EventSource } from './sources.ts';

const { get } = process.getBuiltinModule('node:http');

/** What an engine's API answered; `absent`: it has no such path, or no events; `failed`: ask again later. */
export type SourcesAnswer =
  | { readonly type: 'sources'; readonly sources: readonly EventSource[] }
  | { readonly type: 'absent' }
  | { readonly type: 'failed'; readonly why: string };

/** Asks the engine whose API is at `host:port`; never rejects, gives up when the signal says so. */
export type AskSources = (address: string, signal: AbortSignal) => Promise<SourcesAnswer>;

const answerLimitBytes = 64 * 1024;
const timeoutMilliseconds = 2_000;

/** Asks over plain HTTP, without following redirects; `headers` are sent along, for engines that want a key. */
export function askOverHttp(clock: Clock, headers: Readonly<Record<string, string>> = {}): AskSources {
  return async (address, signal) => {
    const timeout = new AbortController();
    const cancel = clock.after(timeoutMilliseconds, () => {
      timeout.abort();
    });
    try {
      const url = `http://${address}/kv_event_sources`;
      return await exchange(url, { headers, agent: false, signal: AbortSignal.any([signal, timeout.signal]) });
    } catch (error) {
      return { type: 'failed', why: timeout.signal.aborted ? 'no answer in time' : String(error) };
    } finally {
      cancel();
    }
  };
}

function exchange(url: string, options: object): Promise<SourcesAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<SourcesAnswer>();
  const request: ClientRequest = get(url, options, (response) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    response.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes > answerLimitBytes) request.destroy(new Error(`an answer of more than ${answerLimitBytes} bytes`));
      else parts.push(part);
    });
    response.on('end', () => {
      resolve(answerOf(response.statusCode ?? 0, Buffer.concat(parts).toString('utf8')));
    });
    response.on('error', reject);
  });
  request.on('error', reject);
  return promise;
}

/** Older engines have no such path; some answer 405 or 501 to what they do not know. */
function answerOf(status: number, text: string): SourcesAnswer {
  if (status >= 400 && status < 500) return { type: 'absent' };
  const sources = status === 200 ? parseEventSources(text) : null;
  if (sources === null) return { type: 'failed', why: `status ${status} with no list of event sources` };
  return sources.length > 0 ? { type: 'sources', sources } : { type: 'absent' };
}
