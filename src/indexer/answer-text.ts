import type { Dispatcher } from 'undici';

/** What a server that is asked for JSON has answered. */
export interface AnswerText {
  readonly status: number;
  /** Null where it is over the limit. */
  readonly text: string | null;
}

/** Reads an answer of at most `limit` bytes; rejects as the library does where it breaks off. */
export async function readAnswer({ statusCode, body }: Dispatcher.ResponseData, limit: number): Promise<AnswerText> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of body as AsyncIterable<Buffer>) {
    size += part.length;
    // Leaving the loop destroys the stream, and with it the connection.
    if (size > limit) return { status: statusCode, text: null };
    parts.push(part);
  }
  return { status: statusCode, text: Buffer.concat(parts).toString('utf8') };
}
