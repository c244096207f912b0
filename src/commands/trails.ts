import { hostname } from 'node:os';
import { AccessLog } from '../observability/access-log.ts';
import type { Log } from '../observability/log.ts';
import type { GaugeSource } from '../observability/metrics.ts';
import type { SpanQueue } from '../observability/tracing/span-queue.ts';
import { Trails } from '../observability/tracing/trail.ts';
import type { Tracer } from '../observability/tracing/tracer.ts';
import { traceSettings } from './tracing-env.ts';
import { wallClock as clock } from './wall-clock.ts';

/** What follows single requests, and how much of that is lost. */
export interface OpenTrails {
  /** Left out where nobody wants to know of single requests. */
  readonly trails?: Trails;
  readonly gauges: readonly GaugeSource[];
  /** Hands over what waits, within three seconds. */
  close(): Promise<void>;
}

/** How many spans have come through, and how many have not. */
interface Counted {
  readonly queue: Pick<SpanQueue<unknown>, 'exported' | 'dropped'>;
}

interface ClosableTracer extends Tracer, Counted {
  close(): Promise<void>;
}

export interface TrailPlan {
  /** `service.name` where the environment has none. */
  readonly service: string;
  readonly accessLog: boolean;
  readonly log: Log;
  /** What stands before the names of requests' spans. */
  readonly prefix?: string;
}

/** Opens traces and access log as flags and environment say. Throws UsageError. */
export async function openTrails(plan: TrailPlan): Promise<OpenTrails> {
  const { accessLog: isWritten, log, service, ...rest } = plan;
  const tracer = await openTracer(service, log);
  const accessLog = isWritten ? new AccessLog(standardOutput, clock, () => Date.now()) : null;
  const isWanted = tracer !== null || accessLog !== null;
  return {
    ...(isWanted ? { trails: new Trails({ tracer, accessLog, now: () => clock.now(), ...rest }) } : {}),
    gauges: trailGauges(tracer, accessLog),
    close: async () => {
      accessLog?.flush();
      await tracer?.close();
    },
  };
}

const standardOutput = {
  write: (text: string) => void process.stdout.write(text),
  get pending() {
    return process.stdout.writableLength;
  },
};

async function openTracer(service: string, log: Log): Promise<ClosableTracer | null> {
  const settings = traceSettings(process.env, { 'service.name': service, 'service.instance.id': hostname() });
  if (settings === null) return null;
  // Loaded only when asked for: the library takes 26 MB.
  const { OtelTracer } = await import('../observability/tracing/otel-tracer.ts');
  // Some collectors have their keys in the path.
  log.info('requests are traced', { collector: new URL(settings.url).origin, protocol: 'http/json' });
  return new OtelTracer(settings, { clock, log, wallTime: () => Date.now(), epoch: performance.timeOrigin });
}

/** What is lost of traces and access log. */
export function trailGauges(tracer: Counted | null, accessLog: Pick<AccessLog, 'dropped'> | null): GaugeSource[] {
  return [
    {
      name: 'hermes_trace_spans_exported_total',
      help: 'Spans that the collector has taken.',
      read: () => (tracer === null ? [] : [{ value: tracer.queue.exported }]),
    },
    {
      name: 'hermes_trace_spans_dropped_total',
      help: 'Spans that were lost, by reason: queue_full, export_failed or shutdown.',
      read: () =>
        tracer === null ? [] : [...tracer.queue.dropped].map(([reason, value]) => ({ labels: { reason }, value })),
    },
    {
      name: 'hermes_access_log_dropped_total',
      help: 'Lines of the access log that were lost since nobody took them.',
      read: () => (accessLog === null ? [] : [{ value: accessLog.dropped }]),
    },
  ];
}
