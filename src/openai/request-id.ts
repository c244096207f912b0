import { randomUUID } from 'node:crypto';

const idPattern = /^[A-Za-z0-9._:-]{1,128}$/;

/** The id that a request goes by: the client's own where it is harmless everywhere it is written, else a new one. */
export function requestIdOf(sent: string): string {
  return idPattern.test(sent) ? sent : randomUUID();
}
