import { looksAtCaches, portOf, withoutUsage } from './app-config-resources.ts';
import type { AppSettings } from './app-config-schema.ts';

/** Something true of a configuration that is no fault. */
export interface Note {
  readonly path: string;
  readonly message: string;
  /** What to do, if anything. */
  readonly cure: string;
}

const nothing = 'nothing to do';

/** What the writer of a configuration may not expect of it. */
export function notesOf(app: AppSettings, document: Readonly<Record<string, unknown>>): Note[] {
  return [...besides(document), ...ofDiscovery(app), ...ofMetrics(app), ...ofManager(app)];
}

function besides(document: Readonly<Record<string, unknown>>): Note[] {
  const others = Object.keys(document).filter((key) => key !== 'app');
  if (others.length === 0) return [];
  return [{ path: others[0], message: `${others.join(', ')}: belongs to the chart and is passed over`, cure: nothing }];
}

/** Discovery watches: both keys are kept by more than they ask, and neither has a knob. */
function ofDiscovery({ discovery }: AppSettings): Note[] {
  const notes: Note[] = [];
  if (discovery.interval !== undefined) {
    const message = 'has no effect: Services are watched, so that a change is seen at once and not after an interval';
    notes.push({ path: 'app.discovery.interval', message, cure: nothing });
  }
  if (discovery.timeout !== undefined) {
    const message = 'has no effect: the watch of Services has time-outs of its own';
    notes.push({ path: 'app.discovery.timeout', message, cure: nothing });
  }
  return notes;
}

function ofMetrics(app: AppSettings): Note[] {
  if (app.collector?.metrics === undefined) return [];
  const path = 'app.collector.metrics';
  if (app.strategy !== 'kv-aware') {
    const by = app.strategy === undefined ? 'no strategy is named, and the default' : `strategy ${app.strategy}`;
    return [{ path, message: `has no effect: ${by} does not choose by this list`, cure: nothing }];
  }
  if (!withoutUsage(app)) return [];
  const message = 'names no cache usage, so that kv-aware leaves it out of its sum';
  return [{ path, message, cure: 'add `vllm:kv_cache_usage_perc` to count it' }];
}

function ofManager(app: AppSettings): Note[] {
  const { kvmanager, strategy } = app;
  const path = 'app.kvmanager';
  if (kvmanager === undefined) {
    if (strategy !== 'kv-aware') return [];
    const message = 'is left out: kv-aware goes by what this router itself has sent to each engine';
    return [{ path, message, cure: 'add `app.kvmanager` to ask a KV manager instead' }];
  }
  if (!looksAtCaches(app))
    return [{ path, message: `has no effect: strategy ${strategy} asks no KV manager`, cure: nothing }];
  const inUrl = portOf(kvmanager.url);
  if (inUrl === null || kvmanager.port === undefined || String(kvmanager.port) === inUrl) return [];
  const message = `has no effect: the port in \`url\`, ${inUrl}, goes first`;
  return [{ path: 'app.kvmanager.port', message, cure: 'remove one of the two ports' }];
}
