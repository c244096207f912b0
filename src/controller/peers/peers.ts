import { errorText, rateLimited, type Log } from '../../observability/log.ts';
import type { ReplicaReport } from '../../observability/replica-report.ts';
import type { Clock } from '../../router/clock.ts';
import { askPeer } from './peer-call.ts';
import { readReport, ReportFault } from './peer-report.ts';
import { silentView, viewOf, type ReplicaView } from './replica-view.ts';

/** Another replica of the router, as an EndpointSlice of the headless Service or a fixed list names it. */
export interface Peer {
  /** `host:port` of its admin API. */
  readonly address: string;
  /** Name of its pod; null where it is not known. */
  readonly name: string | null;
}

export interface PeersOptions {
  /** The replicas that should be there now, with or without this one; only those that Kubernetes holds ready. */
  readonly source: () => readonly Peer[];
  /** This replica's own report. */
  readonly own: () => ReplicaReport;
  /** Bearer token of the admin API; null where it has none. Read for each call, since tokens change. */
  readonly token: () => string | null;
  readonly clock: Clock;
  readonly log: Log;
}

/** How a call of a replica ended. */
export type PeerResult = 'told' | 'unreachable' | 'rubbish';

interface PeerState {
  /** What it told last, while that counts. */
  view: ReplicaView | null;
  misses: number;
}

/** Calls under way at a time. */
const mostCalls = 8;
/** A replica that missed fewer calls in a row still stands for what it told last. */
const patience = 3;

/** Gathers what all replicas tell, for the one that leads. */
export class Peers {
  /** Calls by result, for metrics. */
  readonly results = new Map<PeerResult, number>();
  private readonly options: PeersOptions;
  private readonly log: Log;
  private readonly known = new Map<string, PeerState>();

  constructor(options: PeersOptions) {
    this.options = options;
    this.log = rateLimited(options.log, () => options.clock.now(), 60_000);
  }

  /**
   * The views of all replicas, this one first. Never rejects, and takes no longer than a time-out of 2 s for every
   * 8 replicas: one that does not answer is `silent` from its third miss on, one that answers rubbish at once.
   */
  async gather(): Promise<ReplicaView[]> {
    const own = viewOf(this.options.own());
    const peers = this.others(own.replica);
    this.forgetAllBut(peers);
    const queue = [...peers];
    const ask = async (): Promise<void> => {
      for (let peer = queue.shift(); peer !== undefined; peer = queue.shift()) await this.ask(peer);
    };
    await Promise.all(Array.from({ length: mostCalls }, ask));
    return this.views(own, peers);
  }

  private others(own: string): Peer[] {
    const byAddress = new Map<string, Peer>();
    for (const peer of this.options.source()) if (peer.name !== own) byAddress.set(peer.address, peer);
    return [...byAddress.values()];
  }

  private forgetAllBut(peers: readonly Peer[]): void {
    const present = new Set(peers.map(({ address }) => address));
    for (const address of this.known.keys()) if (!present.has(address)) this.known.delete(address);
  }

  private views(own: ReplicaView, peers: readonly Peer[]): ReplicaView[] {
    const views = new Map([[own.replica, own]]);
    const told = peers.map(({ address }) => this.known.get(address)?.view ?? null).filter((view) => view !== null);
    // A list without names has this replica, too, and a replica of two address families may answer at one of them only.
    const tellingFirst = [...told].sort((a, b) => Number(a.state === 'silent') - Number(b.state === 'silent'));
    for (const view of tellingFirst) if (!views.has(view.replica)) views.set(view.replica, view);
    return [...views.values()];
  }

  private async ask(peer: Peer): Promise<void> {
    const { clock, token } = this.options;
    const state = this.known.get(peer.address) ?? { view: null, misses: 0 };
    this.known.set(peer.address, state);
    try {
      const report = readReport(await askPeer({ address: peer.address, token: token(), clock }));
      state.view = viewOf(report);
      state.misses = 0;
      this.count('told');
    } catch (error) {
      this.missed(peer, state, error);
    }
  }

  private missed(peer: Peer, state: PeerState, error: unknown): void {
    const rubbish = error instanceof ReportFault;
    state.misses += 1;
    this.count(rubbish ? 'rubbish' : 'unreachable');
    const name = state.view?.replica ?? peer.name ?? peer.address;
    if (rubbish || state.misses >= patience) state.view = silentView(name);
    this.log.warn('a replica does not tell what it runs', { replica: name, error: errorText(error) });
  }

  private count(result: PeerResult): void {
    this.results.set(result, (this.results.get(result) ?? 0) + 1);
  }
}
