import type { Socket } from 'node:net';
import type { UpstreamRequest } from './client.ts';

/** What would end the request line early. */
const unsafePath = /[^\x21-\x7e]/;
/** Cut down to a byte, such a character could become CR or LF (U+010A). Free where the string is stored as bytes. */
const wideCharacter = /[\u0100-\uffff]/;

/** The last guard against request splitting; the caller has checked names and values of the headers. */
export function checkRequest(request: UpstreamRequest): void {
  if (unsafePath.test(request.path)) throw new TypeError('the path of an upstream request must be visible ASCII');
  if (wideCharacter.test(request.headers)) throw new TypeError('the headers of an upstream request must be latin1');
}

/** Writes a request. `hostLine` is the Host header, ended by CRLF. */
export function writeRequest(socket: Socket, hostLine: string, request: UpstreamRequest): void {
  const body = request.body;
  const size = body === null ? 0 : body.length;
  const length = body === null && isBodiless(request.method) ? '' : `content-length: ${size}\r\n`;
  const head = `${request.method} ${request.path} HTTP/1.1\r\n${hostLine}${request.headers}${length}\r\n`;
  // One gathered write: the body goes to the kernel from where it lies.
  socket.cork();
  socket.write(head, 'latin1');
  if (body !== null && size > 0) socket.write(body);
  socket.uncork();
}

/** RFC 9110 §8.6: a method without a meaning for content sends no length. */
function isBodiless(method: string): boolean {
  return method === 'GET' || method === 'HEAD';
}
