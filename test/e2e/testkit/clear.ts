import { errorOf, type EventStream } from './client.ts';

/** What is unclear about a stream that has ended somehow; null where nothing is. `left`: the client may have left it. */
export function judgeStream(stream: EventStream, left: boolean): string | null {
  if (left && stream.broken) return null;
  if (stream.status !== 200)
    return isClear(stream.status, errorOf(stream.text).type) ? null : `${stream.status} ${stream.text}`;
  const last = stream.events.at(-1) ?? '';
  const clear = stream.broken ? errorOf(last).type === 'upstream_error' : last === '[DONE]';
  return clear ? null : `${stream.broken ? 'broken' : 'ended'} after ${stream.text.slice(-300)}`;
}

/** A good answer, the engine's own failure, or the router's word that no engine could be brought to answer. */
export function isClear(status: number, type: string | undefined): boolean {
  if (status === 200) return true;
  if (status === 500) return type === 'InternalServerError';
  if (status === 503) return type === 'ServiceUnavailableError' || type === 'service_unavailable';
  return (status === 502 || status === 504) && type === 'upstream_error';
}
