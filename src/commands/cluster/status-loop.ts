import type { Peers } from '../../controller/peers/peers.ts';
import type { RevisionWriter } from '../../controller/revisions/revision-writer.ts';
import type { StatusWriter } from '../../controller/status/status-writer.ts';
import type { ResourceState } from '../../controller/cluster-state.ts';
import type { WatchedResource } from '../../controller/watched.ts';
import { errorText, type Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import type { Assembly } from '../assembly.ts';
import type { ClusterResources } from './resources.ts';
import { momentOf, statusOf, type Moment } from './status-facts.ts';

/** Milliseconds between looks at what has changed, and between looks at everything. */
const quick = 500;
const whole = 5_000;
/**
 * Milliseconds of work between two breaths: the event loop has requests to carry, too. Time, not a number of objects,
 * since a group of 64 members costs many times an idle policy.
 */
const stretch = 2;

export interface StatusLoopOptions {
  readonly assembly: Pick<Assembly, 'store' | 'verdicts' | 'caches'> & Pick<Moment, 'fleet'>;
  readonly resources: Pick<ClusterResources, 'state' | 'revisions'>;
  readonly peers: Pick<Peers, 'gather'>;
  readonly writer: StatusWriter;
  readonly revisions: RevisionWriter;
  /** Whether a table is in force: before, nobody knows what is, and a last good version would be told to be none. */
  readonly ready: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** Tells of a status that is about to be written. */
  readonly onStatus: (state: ResourceState, status: ReturnType<typeof statusOf>) => void;
}

/** While this replica leads: makes the status of every object from what all replicas tell, again and again. */
export class StatusLoop {
  private readonly options: StatusLoopOptions;
  private readonly touched = new Set<string>();
  private nextWhole = 0;
  /** Raised with every change of leadership: what is under way for an earlier one is left. */
  private term = 0;
  private cancel: () => void = () => undefined;

  constructor(options: StatusLoopOptions) {
    this.options = options;
  }

  lead(): void {
    this.term += 1;
    this.nextWhole = 0;
    this.options.writer.lead();
    void this.takeOverRevisions(this.term);
    this.tick(this.term);
  }

  resign(): void {
    this.term += 1;
    this.cancel();
    this.touched.clear();
    this.options.writer.resign();
    this.options.revisions.resign();
  }

  /** Something about an object has changed: its status is looked at soon. */
  touch(id: string): void {
    this.touched.add(id);
  }

  /** The API server has another version of an object. */
  seen(watched: WatchedResource): void {
    this.options.writer.seen(watched);
  }

  forget({ id, kind, namespace, name, uid }: WatchedResource): void {
    this.touched.delete(id);
    this.options.writer.forget({ kind, namespace, name });
    this.options.revisions.forget(uid);
  }

  private async takeOverRevisions(term: number): Promise<void> {
    const { resources, revisions, log, clock } = this.options;
    try {
      const present = await resources.revisions();
      if (term === this.term) revisions.lead(present);
    } catch (error) {
      log.warn('last good versions cannot be read; none is written until they can', { error: errorText(error) });
      clock.after(whole, () => {
        if (term === this.term) void this.takeOverRevisions(term);
      });
    }
  }

  private tick(term: number): void {
    this.round(term)
      .catch((error: unknown) => {
        this.options.log.error('making the status failed', { error: errorText(error) });
      })
      .finally(() => {
        if (term === this.term) this.cancel = this.options.clock.after(quick, () => this.tick(term));
      });
  }

  private async round(term: number): Promise<void> {
    const { clock, assembly, resources, peers } = this.options;
    if (!this.options.ready()) return;
    const now = clock.now();
    const all = now >= this.nextWhole;
    if (!all && this.touched.size === 0) return;
    if (all) this.nextWhole = now + whole;
    const ids = all ? [...resources.state.all()].map(({ watched }) => watched.id) : [...this.touched];
    this.touched.clear();
    const replicas = await peers.gather();
    const moment = momentOf(assembly.store.current, assembly.verdicts, {
      fleet: assembly.fleet,
      caches: assembly.caches,
      replicas,
      wallTime: Date.now(),
      clockTime: clock.now(),
    });
    let rested = clock.now();
    for (const id of ids) {
      if (clock.now() - rested > stretch) {
        await breath();
        rested = clock.now();
      }
      if (term !== this.term) return;
      // It may have changed or gone meanwhile.
      const state = resources.state.get(id);
      if (state !== undefined) this.write(state, moment);
    }
  }

  private write(state: ResourceState, moment: Moment): void {
    const { writer, revisions, onStatus } = this.options;
    const { watched, inForce } = state;
    // Before the status says that it stays in force. A version may be good for less time than passes between two looks.
    if (inForce !== null)
      revisions.keep({ uid: watched.uid, generation: inForce.generation, resource: inForce.resource });
    const status = statusOf(state, moment);
    onStatus(state, status);
    writer.put(watched, status);
    // Until all replicas run it, the next look is soon.
    if (inForce !== null && status.conditions?.some(isSpreading)) this.touched.add(watched.id);
  }
}

const isSpreading = ({ type, reason }: { type: string; reason: string }): boolean =>
  type === 'Programmed' && reason === 'Pending';

const breath = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
