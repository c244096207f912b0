import { randomBytes } from 'node:crypto';
import { errorText, type Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import type { KubeClient, KubeObject } from './contract.ts';
import { microTime, statusOf } from './kube-object.ts';

/** Something that a person who looks at an object should see. */
export interface EventNote {
  readonly regarding: KubeObject;
  readonly type: 'Normal' | 'Warning';
  /** CamelCase, for machines. */
  readonly reason: string;
  /** CamelCase: what was being done. */
  readonly action: string;
  /** A sentence; cut at 1 KiB, which is all that the API server takes. */
  readonly note: string;
}

export interface EventRecorderOptions {
  readonly client: KubeClient;
  /** Who reports, such as `hermes-router.io/controller`. */
  readonly controller: string;
  /** Which replica of it. */
  readonly instance: string;
  readonly clock: Clock;
  readonly log: Log;
  /** The time of day, only ever written down. */
  readonly date?: () => Date;
}

/** Milliseconds in which an object and a reason get one write. */
const quietTime = 60_000;
/** Milliseconds between two writes of all. */
const spacing = 100;
/** Series that are remembered or wait; what comes above is dropped and counted. */
const maxSeries = 2000;

/** One object and reason. */
interface Series {
  /** The newest of them. */
  latest: EventNote;
  /** Of the object that was written; null when none is to be continued. */
  written: { readonly name: string; readonly note: string } | null;
  /** How often since the object was written first, that time included. */
  count: number;
  /** How many are not written yet. */
  held: number;
  waiting: boolean;
}

/**
 * Writes `events.k8s.io/v1` Events. The first of a reason on an object is written at once, what follows within a
 * minute together at its end: as the series of the same Event, or as a new one where its words have changed, which
 * the API server takes for no change of an old one. Never waits, never throws; what gets lost is counted.
 */
export class EventRecorder {
  private readonly options: EventRecorderOptions;
  private readonly date: () => Date;
  private readonly series = new Map<string, Series>();
  private readonly due: Series[] = [];
  private readonly alarms = new Map<string, () => void>();
  private sending = false;
  private cancelPause: () => void = () => undefined;
  private closed = false;
  private failed = 0;
  private dropped = 0;

  constructor(options: EventRecorderOptions) {
    this.options = options;
    this.date = options.date ?? (() => new Date());
  }

  /** Writes that the API server did not take, and notes that came when too much was waiting. */
  get failures(): number {
    return this.failed + this.dropped;
  }

  record(note: EventNote): void {
    if (this.closed) return;
    const { metadata } = note.regarding;
    const key = `${metadata.uid ?? ''} ${metadata.namespace ?? ''}/${metadata.name} ${note.type} ${note.reason}`;
    const known = this.series.get(key);
    if (known !== undefined) {
      known.latest = note;
      known.held += 1;
      return;
    }
    if (this.series.size >= maxSeries) {
      this.dropped += 1;
      return;
    }
    const fresh: Series = { latest: note, written: null, count: 0, held: 1, waiting: false };
    this.series.set(key, fresh);
    this.queue(key, fresh);
  }

  /** What was not written yet is lost. */
  close(): void {
    this.closed = true;
    this.cancelPause();
    for (const cancel of this.alarms.values()) cancel();
    this.alarms.clear();
    this.due.length = 0;
  }

  private queue(key: string, series: Series): void {
    this.alarms.set(
      key,
      this.options.clock.after(quietTime, () => this.quietTimeOver(key, series)),
    );
    if (series.waiting) return;
    series.waiting = true;
    this.due.push(series);
    if (!this.sending) void this.send();
  }

  private quietTimeOver(key: string, series: Series): void {
    this.alarms.delete(key);
    if (series.held > 0) this.queue(key, series);
    else this.series.delete(key);
  }

  private async send(): Promise<void> {
    const series = this.due.shift();
    this.sending = series !== undefined;
    if (series === undefined) return;
    series.waiting = false;
    try {
      await this.write(series);
    } catch (error) {
      this.failed += 1;
      this.options.log.warn('an event was not written', { reason: series.latest.reason, error: errorText(error) });
    }
    if (!this.closed) this.cancelPause = this.options.clock.after(spacing, () => void this.send());
  }

  private async write(series: Series): Promise<void> {
    const { latest, written, held } = series;
    series.held = 0;
    series.count += held;
    if (written !== null && written.note === latest.note && (await this.continued(series, written.name))) return;
    series.written = null;
    series.count = held;
    series.written = { name: await this.create(latest, held), note: latest.note };
  }

  /** False when the API server has forgotten the Event, as it does after an hour. */
  private async continued({ latest, count }: Series, name: string): Promise<boolean> {
    const answer = await this.options.client.send({
      method: 'PATCH',
      path: `${collectionOf(latest)}/${name}`,
      contentType: 'application/merge-patch+json',
      body: { series: { count, lastObservedTime: microTime(this.date()) } },
    });
    if (answer.status === 404) return false;
    if (answer.status !== 200) throw new Error(`${answer.status} ${statusOf(answer.body).message}`);
    return true;
  }

  private async create(note: EventNote, count: number): Promise<string> {
    const body = this.eventOf(note, count);
    const answer = await this.options.client.send({ method: 'POST', path: collectionOf(note), body });
    if (answer.status !== 201) throw new Error(`${answer.status} ${statusOf(answer.body).message}`);
    return body.metadata.name;
  }

  private eventOf({ regarding, type, reason, action, note }: EventNote, count: number) {
    const { apiVersion, kind, metadata } = regarding;
    const date = this.date();
    const name = `${metadata.name.slice(0, 200)}.${randomBytes(8).toString('hex')}`;
    const { name: regardingName, namespace, uid, resourceVersion } = metadata;
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name, namespace: namespaceOf(regarding) },
      eventTime: microTime(date),
      reportingController: this.options.controller,
      reportingInstance: this.options.instance.slice(0, 128),
      type,
      reason,
      action,
      note: cut(note, 1024),
      regarding: { apiVersion, kind, name: regardingName, namespace, uid, resourceVersion },
      ...(count > 1 && { series: { count, lastObservedTime: microTime(date) } }),
    };
  }
}

/** Events about what has no namespace live in `default`. */
function namespaceOf({ metadata }: KubeObject): string {
  return metadata.namespace ?? 'default';
}

function collectionOf({ regarding }: EventNote): string {
  return `/apis/events.k8s.io/v1/namespaces/${namespaceOf(regarding)}/events`;
}

/** At most so many bytes of UTF-8. */
function cut(text: string, length: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= length) return text;
  return new TextDecoder().decode(bytes.subarray(0, length), { stream: true });
}
