/** One rank's ports and topic as an engine tells them itself. */
export interface EventSource {
  readonly rank: number;
  readonly eventsPort: number;
  readonly replayPort: number | null;
  readonly topic: string;
}

/** Ranks of one engine at most. */
export const maxRanks = 256;
const maxTopicLength = 256;

/**
 * Reads the answer of vLLM's `GET /kv_event_sources`: an object with an entry for each data-parallel rank. Of the endpoints
 * only the ports are taken: what an engine says must never lead to another address. Entries that make no sense, or whose
 * events do not come over ZMQ, are left out; null when the text is no such answer.
 */
export function parseEventSources(text: string): EventSource[] | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isObject(value)) return null;
  const sources: EventSource[] = [];
  for (const [key, entry] of Object.entries(value).slice(0, maxRanks)) {
    const source = sourceOf(key, entry);
    if (source !== null) sources.push(source);
  }
  return sources;
}

function sourceOf(key: string, entry: unknown): EventSource | null {
  if (!/^\d{1,3}$/.test(key) || Number(key) >= maxRanks || !isObject(entry)) return null;
  const { endpoint, replay_endpoint: replay, publisher, topic, enable_kv_cache_events: enabled } = entry;
  const eventsPort = portOf(endpoint);
  if (eventsPort === null || publisher !== 'zmq' || enabled === false) return null;
  const known = typeof topic === 'string' && topic.length <= maxTopicLength;
  return { rank: Number(key), eventsPort, replayPort: portOf(replay), topic: known ? topic : '' };
}

function portOf(endpoint: unknown): number | null {
  if (typeof endpoint !== 'string') return null;
  const port = Number(/^tcp:\/\/.{1,260}:(\d{1,5})$/.exec(endpoint)?.[1] ?? 0);
  return port >= 1 && port <= 65_535 ? port : null;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
