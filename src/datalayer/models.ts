import type { FleetContext, Site } from './context.ts';
import type { ProbeResult } from './probe.ts';
import { Alarm } from './schedule.ts';

/** Longest `/v1/models` answer that is read: 1 MiB. */
const maxBytes = 1024 * 1024;
/** Most names that are learned of an endpoint, and of a group. */
export const maxModels = 256;
/** Longest name that is learned, in UTF-16 units. */
const maxName = 512;
/** Milliseconds for the answer; an engine under load is slow to give it. */
const timeout = 5_000;
/** Milliseconds between two looks at the models of an endpoint: adapters come and go. */
const interval = 30_000;
/** The same while no look has succeeded. */
const retryInterval = 5_000;

/** What an engine serves. */
export interface ModelList {
  /** Models that it started with, aliases included. */
  readonly base: readonly string[];
  /** LoRA adapters. */
  readonly adapters: readonly string[];
}

/** Reads OpenAI's model list (vLLM names an adapter's model in `parent`); null where it is none. */
export function parseModels(body: Buffer): ModelList | null {
  let answer: unknown;
  try {
    answer = JSON.parse(body.toString());
  } catch {
    // No JSON is no list: the caller treats both alike.
    return null;
  }
  if (!isObject(answer) || !Array.isArray(answer.data)) return null;
  const base: string[] = [];
  const adapters: string[] = [];
  for (const entry of answer.data.slice(0, maxModels) as readonly unknown[]) {
    if (!isObject(entry) || typeof entry.id !== 'string' || entry.id === '' || entry.id.length > maxName) continue;
    (typeof entry.parent === 'string' ? adapters : base).push(entry.id);
  }
  return { base, adapters };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** The union of what engines serve, sorted, adapters last so that the limit never cuts a base model for one. */
export function unionOfModels(lists: readonly ModelList[]): readonly string[] {
  const base = new Set(lists.flatMap((list) => list.base));
  const adapters = new Set(lists.flatMap((list) => list.adapters).filter((name) => !base.has(name)));
  return Object.freeze([...[...base].sort(), ...[...adapters].sort()].slice(0, maxModels));
}

/** Told what an endpoint says it serves. */
export interface ModelListener {
  /** Whether it may be the endpoint that says so. */
  believes(list: ModelList): boolean;
  /** `known` may be another list now. */
  learned(): void;
}

/** Learns what one endpoint serves, when it becomes healthy and, where the group wants it, every 30 s. */
export class ModelLearner {
  /** What it last said; kept while it is away. */
  known: ModelList | null = null;
  private readonly context: FleetContext;
  private readonly site: Site;
  private readonly listener: ModelListener;
  private readonly alarm = new Alarm(() => this.look());
  private paused = false;
  private stopped = false;

  constructor(context: FleetContext, site: Site, listener: ModelListener) {
    this.context = context;
    this.site = site;
    this.listener = listener;
  }

  /** Asks now, and goes on from here. */
  look(): void {
    this.paused = false;
    this.ask((list) => {
      const believed = list !== null && this.listener.believes(list);
      if (believed) this.known = list;
      this.rest();
      if (believed) this.listener.learned();
    });
  }

  /** Nobody to ask until the next `look`. */
  pause(): void {
    this.paused = true;
    this.context.schedule.clear(this.alarm);
  }

  stop(): void {
    this.stopped = true;
    this.pause();
  }

  /** What the endpoint serves now; null where it does not tell. Never calls back after `stop`. */
  ask(done: (list: ModelList | null) => void): void {
    const request = { access: this.site.access, path: '/v1/models', timeout, maxBytes };
    this.context.probe.get(request, (result: ProbeResult) => {
      if (!this.stopped) done(result.ok ? parseModels(result.body) : null);
    });
  }

  private rest(): void {
    if (this.paused) return;
    const { clock, schedule, random } = this.context;
    const pause = this.known === null ? retryInterval : interval;
    // One look is enough where names are declared: it is what the engine is recognised by later.
    if (this.known !== null && !this.site.target.learnModels) return;
    schedule.set(this.alarm, clock.now() + pause * (0.9 + 0.2 * random()));
  }
}
