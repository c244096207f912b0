import { debugHeaders } from '../openai/debug-headers.ts';
import type { Answered, Placement } from './placement.ts';
import type { HeaderLines, ProcessingRequest } from './wire/request.ts';
import type { HeaderChange, SetHeader } from './wire/response.ts';

const nothingRemoved: readonly string[] = Object.freeze([]);
const lengthRemoved: readonly string[] = Object.freeze(['content-length']);

/** What a gateway says of an answer in its headers and metadata; `isOwn` where it is known that no engine answers. */
export function answerOf({ headers, served }: ProcessingRequest, isOwn: boolean): Answered {
  const status = Number(headers.get(':status')) || 0;
  const type = headers.get('content-type') ?? '';
  const isStream = type.startsWith('text/event-stream');
  return { status, served, isStream, isOwn: isOwn || (status >= 502 && status <= 504 && isOwnReply(headers, type)) };
}

/**
 * Envoy answers 502 to 504 where no engine does: in plain text, and without the time that it measures of every
 * engine's answer. That it tells of no endpoint then is no sign: most gateways never tell of one, and one that does
 * tells of the last that it has tried.
 */
function isOwnReply(headers: HeaderLines, type: string): boolean {
  return headers.get('x-envoy-upstream-service-time') === undefined && (type === '' || type.startsWith('text/plain'));
}

/** What an answer's headers are to say of its request. */
export interface Retold {
  readonly requestId: string;
  /** The endpoint that has served, for conformance tests; empty where none is to be told. */
  readonly served: string;
  /** Whether the model's name in the body changes, and with it the length. */
  readonly isRenamed: boolean;
}

/** The changes of an answer's headers; `placement` is null where nothing was decided. */
export function responseChange(placement: Placement | null, { requestId, served, isRenamed }: Retold): HeaderChange {
  const set: SetHeader[] = [{ name: 'x-request-id', value: requestId }];
  if (served !== '') set.push({ name: 'x-conformance-test-served-endpoint', value: served });
  if (placement !== null && placement.decision !== null && placement.explains) {
    const debug = debugHeaders(placement.decision, placement.taken.policy);
    for (let i = 0; i < debug.length; i += 2) set.push({ name: debug[i], value: debug[i + 1] });
  }
  return { set, remove: isRenamed ? lengthRemoved : nothingRemoved, clearRouteCache: false, destination: null };
}
