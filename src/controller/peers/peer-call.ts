import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../router/clock.ts';

const { request: httpRequest } = process.getBuiltinModule('node:http');

export interface PeerCall {
  /** `host:port` or `[v6]:port` of the admin API. */
  readonly address: string;
  /** Bearer token of the admin API; null where it has none. */
  readonly token: string | null;
  readonly clock: Clock;
}

/** No report is longer, and a peer that is not one of us must not fill the memory. */
const maxBytes = 4 * 1024 * 1024;
/** Milliseconds for the whole exchange. */
const timeout = 2000;

/**
 * Asks a replica for its report; resolves to the text. Rejects when it does not answer in time, answers with another
 * status than 200 (redirects are not followed), or at too great length. A connection of its own for each call: one
 * every few seconds, and none that went stale meanwhile.
 */
export function askPeer({ address, token, clock }: PeerCall): Promise<string> {
  return new Promise((resolve, reject) => {
    const url = new URL(`http://${address}/api/v1/stats`);
    const headers = { connection: 'close', ...(token === null ? {} : { authorization: `Bearer ${token}` }) };
    const request = httpRequest(url, { agent: false, headers }, (response) => {
      read(response).then(done(resolve), done(fail));
    });
    const fail = (error: unknown): void => {
      reject(error instanceof Error ? error : new Error(String(error)));
      request.destroy();
    };
    const cancel = clock.after(timeout, () => fail(new Error(`no answer within ${timeout} ms`)));
    function done<T>(then: (value: T) => void): (value: T) => void {
      return (value) => {
        cancel();
        then(value);
      };
    }
    request.on('error', done(fail));
    request.end();
  });
}

async function read(response: IncomingMessage): Promise<string> {
  const { statusCode } = response;
  if (statusCode !== 200) throw new Error(`answered with status ${statusCode}${hintOf(statusCode)}`);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError('a response without an encoding yields buffers');
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes).toString('utf8');
}

function hintOf(status: number | undefined): string {
  return status === 401 ? ': the replicas need the same admin token' : '';
}
