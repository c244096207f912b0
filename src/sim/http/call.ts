import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Fault } from '../faults.ts';
import type { SimHost } from '../host.ts';

/** One request as its handler sees it. */
export interface Call {
  readonly host: SimHost;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Puts a fault in force, those at once included. */
  readonly setFault: (fault: Fault) => void;
}
