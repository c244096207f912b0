import { noFault, type Fault, type RequestKind } from '../faults.ts';
import type { Body } from './body.ts';
import type { Call } from './call.ts';
import { brokenOff } from './errors.ts';
import { noSabotage, type BreakOff, type Sabotage } from './exchange.ts';
import { transferRequest } from './transfer-params.ts';

/** Milliseconds of wall time that an answer has to reach its reader before its engine dies. */
const lastWords = 20;

/** A request's place in the hand-over; that of a body that cannot be read is `plain`. */
export function requestKind(bytes: Buffer): RequestKind {
  if (!bytes.includes('kv_transfer_params')) return 'plain';
  const { type } = transferRequest(fieldsOf(bytes));
  if (type === 'plain' || type === 'prefill') return type;
  return 'decode';
}

/** Whether the fault has taken the request: the engine itself never sees it then. Throws ApiError for an error as the answer. */
export function strikesAtOnce(fault: Fault, { response }: Call): boolean {
  if (fault.type === 'garbage') {
    response.socket?.end('\u0016\u0003 this is not HTTP\n\n', 'latin1');
    return true;
  }
  const how = breakOffOf(fault);
  const usual = how === 'cut' ? undefined : 'before';
  if (how === null || (fault.when ?? usual) !== 'before') return false;
  if (how === 'cut') response.socket?.resetAndDestroy();
  else if (how !== 'hang') throw brokenOff(how);
  return true;
}

/** What is to go wrong with the answer of a request that the engine has seen. */
export function sabotageOf(fault: Fault): Sabotage {
  const how = breakOffOf(fault);
  if (fault.when === 'during') return { ...noSabotage, atFirstToken: how };
  if (fault.when === 'after') return { ...noSabotage, atEnd: how };
  return how === 'cut' ? { ...noSabotage, cutAfter: fault.afterTokens } : noSabotage;
}

/** The engine dies when its answer to this request has gone out. */
export function dieAfterAnswer({ host, response, setFault }: Call): void {
  response.on('finish', () => {
    host.after(lastWords, () => {
      setFault({ ...noFault, type: 'die' });
    });
  });
}

function breakOffOf({ type }: Fault): BreakOff | null {
  return type === 'error' || type === 'unavailable' || type === 'cut' || type === 'hang' ? type : null;
}

function fieldsOf(bytes: Buffer): Body {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return new Map(typeof value === 'object' && value !== null ? Object.entries(value) : []);
  } catch {
    // The parser of the route says what is wrong with it.
    return new Map();
  }
}
