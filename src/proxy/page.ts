import type { Response } from './http/response.ts';

/** A whole answer of the router's own. */
export interface Page {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Answers a GET: calls back once, at once or later. */
export type PageHandler = (answer: (page: Page) => void) => void;

/** Sends what a handler makes; a client that has left by then gets nothing. */
export function servePage(handler: PageHandler, response: Response, requestId: string): void {
  handler(({ status, contentType, body }) => {
    const bytes = Buffer.from(body);
    const head = ['content-type', contentType, 'content-length', String(bytes.length), 'x-request-id', requestId];
    response.writeHead(status, head);
    response.end(bytes);
  });
}
