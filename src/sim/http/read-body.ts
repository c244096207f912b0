import type { IncomingMessage } from 'node:http';
import { bodyTooLarge } from './errors.ts';

const mostBytes = 64 * 1024 * 1024;

/** The whole body; rejects when the client goes away before its end, and with a 413 beyond 64 MiB. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('a request body must come as bytes');
    length += chunk.length;
    if (length > mostBytes) throw bodyTooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}
