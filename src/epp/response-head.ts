import type { Answered } from './placement.ts';
import type { HeaderLines, ProcessingRequest } from './wire/request.ts';

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
