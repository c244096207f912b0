import { errorText, rateLimited, type Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import type { KubeClient, KubeRequest, KubeResponse } from '../kube/contract.ts';
import type { WriteBudget } from './write-budget.ts';

/** How a write ended. */
export type WriteResult =
  | 'written'
  /** The object, or its kind, is no more. */
  | 'gone'
  | 'conflict'
  /** The API server does not take it: RBAC, or an older CRD. */
  | 'refused'
  /** The API server is busy, failing, or does not know who asks. */
  | 'unavailable'
  /** No answer. */
  | 'unreachable';

export interface OutboxOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly budget: WriteBudget;
  /** What is written, for the log: `status`. */
  readonly what: string;
}

/** One write that waits. A newer one for the same key takes its place in line. */
export interface Write {
  /** What it is about; one write for a key is under way at a time. */
  readonly key: string;
  /** Whose it is: namespaces take turns. */
  readonly namespace: string;
  /** Made when its turn has come: what it builds on may have changed while it waited. */
  readonly request: () => KubeRequest;
  readonly urgent: boolean;
  /** It is under way. */
  readonly sent: () => void;
  /** How it ended; true when that is the end of it, else it comes again by itself. */
  readonly settled: (result: WriteResult) => boolean;
}

interface Ending {
  readonly startedAt: number;
  readonly result: WriteResult;
  readonly message: string;
}

interface Trouble {
  readonly failures: number;
  readonly notBefore: number;
}

/** Enough to use the budget while each call takes a second. */
const mostUnderWay = 5;
/** Every fifth write is one that is not urgent, if any waits: a flood of urgent ones starves nobody. */
const urgentInARow = 4;
const backoff = { first: 1000, longest: 300_000, outageLongest: 30_000 } as const;

/**
 * Writes to the API server: coalesced by key, within a budget, retried with backoff. Namespaces take turns, so that one with
 * hundreds of changes delays those of nobody else; within one they go in the order they came.
 */
export class Outbox {
  /** Writes by result. */
  readonly results = new Map<WriteResult, number>();
  private readonly options: OutboxOptions;
  private readonly log: Log;
  private readonly urgent = new Map<string, Write>();
  private readonly patient = new Map<string, Write>();
  private readonly underWay = new Map<string, Write>();
  private readonly trouble = new Map<string, Trouble>();
  private outage: Trouble = { failures: 0, notBefore: 0 };
  private urgentRow = 0;
  /** When it was last a namespace's turn, counted in turns. */
  private readonly turns = new Map<string, number>();
  private turnsTaken = 0;
  private asked = false;
  private cancelAlarm = (): void => {};

  constructor(options: OutboxOptions) {
    this.options = options;
    this.log = rateLimited(options.log, () => options.clock.now());
  }

  /** Writes that wait. */
  get waiting(): number {
    return this.urgent.size + this.patient.size;
  }

  put(write: Write): void {
    const { key, urgent } = write;
    // Whoever waits for an urgent write does not lose the place by having new figures, too.
    const line = urgent || this.urgent.has(key) ? this.urgent : this.patient;
    if (line === this.urgent) this.patient.delete(key);
    line.set(key, write);
    this.pump();
  }

  /** Whether a write for this key was sent and is not answered. */
  isUnderWay(key: string): boolean {
    return this.underWay.has(key);
  }

  /** What waits for this key is no longer wanted. */
  drop(key: string): void {
    this.urgent.delete(key);
    this.patient.delete(key);
  }

  /** Forgets the key and how it failed. */
  forget(key: string): void {
    this.drop(key);
    this.trouble.delete(key);
  }

  /** Nothing more is sent; answers of what is under way are passed over. */
  clear(): void {
    for (const line of [this.urgent, this.patient, this.underWay, this.trouble, this.turns]) line.clear();
    this.outage = { failures: 0, notBefore: 0 };
    this.cancelAlarm();
  }

  private pump(): void {
    if (this.asked || this.waiting === 0 || this.full()) return;
    const now = this.options.clock.now();
    const at = this.nextAt();
    // All that wait are under way in an older version; their answers go on from here.
    if (at === Infinity) return;
    if (at > now) {
      this.cancelAlarm();
      this.cancelAlarm = this.options.clock.after(at - now, () => this.pump());
      return;
    }
    this.asked = true;
    this.options.budget.ask(this.turn);
  }

  /** While the API server is away one write at a time finds out when it is back. */
  private full(): boolean {
    return this.underWay.size >= (this.outage.failures > 0 ? 1 : mostUnderWay);
  }

  /** When the next write may go; never while those that wait are all under way already. */
  private nextAt(): number {
    let at = Infinity;
    for (const line of [this.urgent, this.patient]) {
      for (const key of line.keys()) {
        if (!this.underWay.has(key)) at = Math.min(at, this.trouble.get(key)?.notBefore ?? 0);
      }
    }
    return Math.max(at, this.outage.notBefore);
  }

  private readonly turn = (): boolean => {
    this.asked = false;
    const write = this.full() ? null : this.next();
    if (write !== null) this.send(write);
    this.pump();
    return write !== null;
  };

  private next(): Write | null {
    if (this.outage.notBefore > this.options.clock.now()) return null;
    const urgentFirst = this.urgentRow < urgentInARow;
    const lines = urgentFirst ? [this.urgent, this.patient] : [this.patient, this.urgent];
    for (const line of lines) {
      const write = this.firstOf(line);
      if (write === null) continue;
      line.delete(write.key);
      this.urgentRow = line === this.urgent ? this.urgentRow + 1 : 0;
      this.turnsTaken += 1;
      this.turns.set(write.namespace, this.turnsTaken);
      return write;
    }
    return null;
  }

  /** The first in line that may go, of the namespace whose turn was longest ago. */
  private firstOf(line: ReadonlyMap<string, Write>): Write | null {
    const now = this.options.clock.now();
    let first: Write | null = null;
    let longest = Infinity;
    for (const write of line.values()) {
      const turn = this.turns.get(write.namespace) ?? 0;
      if (turn >= longest) continue;
      if (this.underWay.has(write.key) || (this.trouble.get(write.key)?.notBefore ?? 0) > now) continue;
      first = write;
      longest = turn;
    }
    return first;
  }

  private send(write: Write): void {
    const startedAt = this.options.clock.now();
    this.underWay.set(write.key, write);
    write.sent();
    this.options.client.send(write.request()).then(
      (response) => this.answered(write, startedAt, response),
      (error: unknown) => this.unanswered(write, startedAt, error),
    );
  }

  private answered(write: Write, startedAt: number, response: KubeResponse): void {
    this.ended(write, { startedAt, result: resultOf(response.status), message: messageOf(response) });
  }

  private unanswered(write: Write, startedAt: number, error: unknown): void {
    this.ended(write, { startedAt, result: 'unreachable', message: errorText(error) });
  }

  private ended(write: Write, { startedAt, result, message }: Ending): void {
    this.results.set(result, (this.results.get(result) ?? 0) + 1);
    // Cleared meanwhile: nobody wants to know any more.
    if (this.underWay.get(write.key) !== write) return;
    this.underWay.delete(write.key);
    const away = result === 'unreachable' || result === 'unavailable';
    if (away) this.outageSeen(startedAt);
    else this.outage = { failures: 0, notBefore: 0 };
    // An object that is gone may be put again before the reflector has seen its end: that must not go round.
    if (!away && result !== 'written')
      this.trouble.set(write.key, this.later(this.trouble.get(write.key), backoff.longest));
    if (!write.settled(result)) this.again(write, result, message);
    else if (result !== 'gone') this.trouble.delete(write.key);
    this.pump();
  }

  private again(write: Write, result: WriteResult, message: string): void {
    const { key } = write;
    this.log.warn(`a write of ${this.options.what} failed: ${result}`, { object: key, error: message });
    const newer = this.urgent.has(key) || this.patient.has(key);
    if (!newer) (write.urgent ? this.urgent : this.patient).set(key, write);
  }

  /** Writes that were under way together are one outage. */
  private outageSeen(startedAt: number): void {
    if (this.outage.failures > 0 && startedAt < this.outage.notBefore) return;
    this.outage = this.later(this.outage, backoff.outageLongest);
  }

  private later(trouble: Trouble | undefined, longest: number): Trouble {
    const failures = (trouble?.failures ?? 0) + 1;
    const delay = Math.min(longest, backoff.first * 2 ** Math.min(20, failures - 1));
    return { failures, notBefore: this.options.clock.now() + delay };
  }
}

function resultOf(status: number): WriteResult {
  if (status >= 200 && status < 300) return 'written';
  if (status === 404) return 'gone';
  if (status === 409) return 'conflict';
  return status === 401 || status === 429 || status >= 500 ? 'unavailable' : 'refused';
}

/** The message of the `Status` object that refusals carry. */
function messageOf({ status, body }: KubeResponse): string {
  const message: unknown = typeof body === 'object' && body !== null ? Reflect.get(body, 'message') : undefined;
  return typeof message === 'string' ? `${status}: ${message.slice(0, 500)}` : `status ${status}`;
}
