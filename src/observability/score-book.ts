import type { EndpointScore } from './replica-report.ts';
import { ScoreMeans, type ScoredPart } from './score-means.ts';
import { Window } from './window.ts';

/** Milliseconds between two explained decisions of a policy: an explanation costs many times the decision. */
const lookInterval = 200;
/** Milliseconds after which the means of scores begin anew; those of the half before count still. */
const half = 30_000;
/** Endpoints of one policy that are told at most, those with the most requests first. */
const told = 64;

/** What the book needs of an endpoint. */
export interface BookedEndpoint {
  readonly slot: number;
  readonly name: string;
  readonly address: string;
  /** Key of its group. */
  readonly group: string;
}

/** What the book needs of an explanation. */
export interface BookedDecision {
  readonly policy: string;
  readonly endpoints: readonly {
    readonly group: string;
    readonly endpoint: string;
    readonly address: string;
    /** Null where it was no candidate. */
    readonly score: number | null;
    readonly parts: readonly ScoredPart[];
  }[];
}

/** What the book needs of a policy in force. */
export interface BookedPolicy {
  readonly key: string;
  readonly backends: readonly {
    readonly group: { readonly name: string; readonly endpoints: readonly BookedEndpoint[] };
  }[];
}

/** A decision and when it was made, in milliseconds since 1970. */
export interface RecordedDecision<D> {
  readonly at: number;
  readonly decision: D;
}

export interface ScoreBookOptions {
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  /** Milliseconds since 1970. */
  readonly wallTime: () => number;
}

/**
 * Which endpoints each policy picks, how they score, and the last decision that was explained. It is told of every
 * decision, so counting one costs two look-ups in small maps and an addition.
 */
export class ScoreBook<D extends BookedDecision> {
  private readonly options: ScoreBookOptions;
  private readonly pages = new Map<string, Page<D>>();
  /** Of the decision under way. */
  private page: Page<D>;
  private key = '';
  private time = 0;

  constructor(options: ScoreBookOptions) {
    this.options = options;
    this.page = new Page();
  }

  /** A decision begins; whether it is to be explained: the first one, and after each pause of 200 ms the next. */
  watches(policy: { readonly key: string }): boolean {
    const { key } = policy;
    this.time = this.options.now();
    if (key !== this.key) this.turnTo(key);
    const { page } = this;
    if (this.time - page.lookedAt < lookInterval) return false;
    page.lookedAt = this.time;
    return true;
  }

  /** The decision that was told last has picked this endpoint. */
  picked(endpoint: BookedEndpoint): void {
    const picks = this.page.picks.get(endpoint.slot);
    const known = picks !== undefined && picks.endpoint === endpoint ? picks : this.page.open(endpoint, this.time);
    known.window.advance(this.time);
    known.window.add(0, 1);
  }

  explained(decision: D): void {
    this.page.record(decision, this.time);
    this.page.last = { at: this.options.wallTime(), decision };
  }

  /** The last explained decision of a policy; null while there is none. */
  last(policy: string): RecordedDecision<D> | null {
    return this.pages.get(policy)?.last ?? null;
  }

  /** The policy's endpoints that got requests or were scored in the last minute, those with the most requests first. */
  scores({ key, backends }: BookedPolicy): EndpointScore[] {
    const page = this.pages.get(key);
    if (page === undefined) return [];
    const now = this.options.now();
    page.turnHalf(now);
    const found = new Map<string, EndpointScore>();
    for (const { group } of backends) {
      for (const endpoint of group.endpoints) {
        const score = page.scoreOf(group.name, endpoint, now);
        if (score !== null) found.set(nameOf(group.name, endpoint.name, endpoint.address), score);
      }
    }
    return [...found.values()].sort((a, b) => b.picks - a.picks || (a.name < b.name ? -1 : 1)).slice(0, told);
  }

  /** Drops the policies that are not among these. */
  retain(policies: Iterable<string>): void {
    const kept = new Set(policies);
    for (const key of this.pages.keys()) if (!kept.has(key)) this.pages.delete(key);
    if (!kept.has(this.key)) this.key = '';
  }

  private turnTo(key: string): void {
    let page = this.pages.get(key);
    if (page === undefined) {
      page = new Page();
      this.pages.set(key, page);
    }
    this.page = page;
    this.key = key;
  }
}

/** Requests that went to one endpoint. */
interface Picks {
  readonly endpoint: BookedEndpoint;
  readonly window: Window;
}

/** One policy's part of the book. */
class Page<D extends BookedDecision> {
  /** When its last explained decision began; long ago at first. */
  lookedAt = -Infinity;
  last: RecordedDecision<D> | null = null;
  /** By slot. */
  readonly picks = new Map<number, Picks>();
  /** By names and address, since a slot may have had another endpoint a moment ago. */
  private readonly means = new Map<string, ScoreMeans>();
  private halfSince = -Infinity;

  /** The picks of an endpoint; new ones where the slot was another's. */
  open(endpoint: BookedEndpoint, now: number): Picks {
    const known = this.picks.get(endpoint.slot);
    const window = known !== undefined && isSame(known.endpoint, endpoint) ? known.window : new Window(1, now);
    const picks = { endpoint, window };
    this.picks.set(endpoint.slot, picks);
    return picks;
  }

  record({ endpoints }: D, now: number): void {
    this.turnHalf(now);
    for (const { group, endpoint, address, score, parts } of endpoints) {
      if (score === null) continue;
      const name = nameOf(group, endpoint, address);
      let means = this.means.get(name);
      if (means === undefined || !means.fits(parts)) {
        means = new ScoreMeans(parts);
        this.means.set(name, means);
      }
      means.add(score, parts);
    }
  }

  /** Lets go of what is older than a minute, and of endpoints that have nothing younger. */
  turnHalf(now: number): void {
    if (now - this.halfSince < half) return;
    const turns = now - this.halfSince < 2 * half ? 1 : 2;
    this.halfSince = now;
    for (const [name, means] of this.means) {
      for (let turn = 0; turn < turns; turn++) means.turn();
      if (means.looked === 0) this.means.delete(name);
    }
    for (const [slot, { window }] of this.picks) if (window.sum(0, now) === 0) this.picks.delete(slot);
  }

  scoreOf(group: string, endpoint: BookedEndpoint, now: number): EndpointScore | null {
    const { name, slot } = endpoint;
    const known = this.picks.get(slot);
    const picks = known !== undefined && isSame(known.endpoint, endpoint) ? known.window.sum(0, now) : 0;
    const means = this.means.get(nameOf(group, name, endpoint.address));
    if (means === undefined) return picks === 0 ? null : { name, group, picks, score: 0, breakdown: [] };
    return { name, group, picks, ...means.read() };
  }
}

function isSame(a: BookedEndpoint, b: BookedEndpoint): boolean {
  return a === b || (a.name === b.name && a.address === b.address && a.group === b.group);
}

function nameOf(group: string, endpoint: string, address: string): string {
  return `${group}\n${endpoint}\n${address}`;
}
