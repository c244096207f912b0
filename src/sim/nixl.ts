import { randomBytes, randomUUID } from 'node:crypto';
import type { Clock } from '../router/clock.ts';
import type { EngineDriver } from './driver.ts';
import type { HeldRelease } from './held-blocks.ts';
import { Histogram } from './http/histogram.ts';
import { transferParams, type TransferRequest } from './http/transfer-params.ts';
import { Pull, type BlockSource, type PullEnd } from './pull.ts';
import type { Rank } from './ranks.ts';
import type { RemotePrompt, Sequence, SequenceSpec } from './sequence.ts';
import type { ServiceModel } from './service-model.ts';
import { SideChannel, type ReadAnswer, type Reader } from './side-channel.ts';

/** How the connector of one engine is set up. */
export interface NixlOptions {
  readonly host: string;
  readonly port: number;
  readonly tpSize: number;
  /** What becomes of a request whose KV does not come. */
  readonly loadFailurePolicy: 'fail' | 'recompute';
  readonly service: ServiceModel;
  readonly clock: Clock;
  readonly speedUp: number;
  /** What a fault in force makes of a read; null for none. */
  readonly strike: () => ReadAnswer | null;
}

/** A request that takes part in a hand-over: where it runs and by what names it is called. */
export interface HandoverRequest {
  readonly transfer: TransferRequest;
  readonly rank: Rank;
  /** The engine's id of it, without the random end that vLLM gives it. */
  readonly id: string;
  /** Further names that an abort notice may use. */
  readonly names: readonly string[];
}

/** A sequence whose blocks others may read. */
interface Kept {
  readonly sequence: Sequence;
  readonly rank: Rank;
  readonly requestId: string;
  readonly names: readonly string[];
}

/** Engine seconds for which a prefiller never spoken to is waited for. */
const handshakeSeconds = 5;

/** Milliseconds of wall time: an engine that is merely slow to answer, on a busy machine, is not dead. */
const silence = 5_000;

const timeBounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 5];
const byteBounds = Array.from({ length: 12 }, (_, i) => 2 ** (11 + 2 * i));
const descriptorBounds = [10, 20, 30, 50, 75, 100, 200, 400, 1e3, 2e3, 4e3, 1e4, 2e4, 5e4];

/**
 * The engine's side of vLLM's NIXL connector: keeps a prefill's blocks for a decoder to read, and reads those of another engine, over
 * a side channel of TCP in place of RDMA. As there, a read that comes too late is granted, and gives a wrong answer.
 */
export class NixlConnector {
  readonly engineId = randomUUID();
  readonly transferTimes = new Histogram(timeBounds);
  readonly transferBytes = new Histogram(byteBounds);
  readonly transferDescriptors = new Histogram(descriptorBounds);
  /** Readers that said they were done when the blocks had gone. */
  lateNotices = 0;
  /** Request ids that abort notices named, known or not. */
  abortNotices = 0;
  private readonly options: NixlOptions;
  private readonly kept = new Map<string, Kept>();
  private readonly pulls = new Map<Sequence, Pull>();
  /** Engines with which a handshake has succeeded: a connection to them that breaks is noticed at once. */
  private readonly peers = new Set<string>();
  private channel: SideChannel | null = null;

  private constructor(options: NixlOptions) {
    this.options = options;
  }

  /** Opens the side channel; rejects with the system's error when its address is taken. */
  static async open(options: NixlOptions): Promise<NixlConnector> {
    const connector = new NixlConnector(options);
    connector.channel = await SideChannel.listen(options.host, options.port, connector.readerOf);
    return connector;
  }

  /** `host:port` of the side channel. */
  get address(): string {
    const { host } = this.options;
    return `${host.includes(':') ? `[${host}]` : host}:${this.channel?.port ?? 0}`;
  }

  /** Open connections of the side channel: of others' readers here, and of this engine's elsewhere. */
  get openTransfers(): number {
    return (this.channel?.open ?? 0) + this.pulls.size;
  }

  /** Reads of this engine that have been granted: bytes on their way. */
  get moving(): number {
    let moving = 0;
    for (const pull of this.pulls.values()) if (pull.moving) moving += 1;
    return moving;
  }

  /** Queues a sequence with what its part in the hand-over adds. */
  submit(spec: SequenceSpec, request: HandoverRequest): Sequence {
    const { transfer, rank } = request;
    if (transfer.type === 'prefill') return this.keep(rank.driver.submit({ ...spec, holdAfter: true }), request);
    if (transfer.type === 'stuck') return rank.driver.submit({ ...spec, remote: { begin: () => undefined } });
    if (transfer.type !== 'decode') return rank.driver.submit(spec);
    const pull = new Pull(transfer.source);
    const remote = this.remote(transfer.source, pull, rank.driver);
    const { cachedTokens } = transfer;
    const sequence = rank.driver.submit({
      ...spec,
      remote: cachedTokens === undefined ? remote : { ...remote, cachedTokens },
    });
    this.pulls.set(sequence, pull);
    return sequence;
  }

  /**
   * Takes a sequence out whose client has gone. Before its turn, the prefiller is told that nobody will read; while it waits for an
   * answer it just goes, and the prefiller keeps its blocks to the end of the lease; bytes on their way go on to their end.
   */
  abort(sequence: Sequence, driver: EngineDriver): void {
    const waiting = sequence.state === 'waiting' && sequence.transfer === 'wanted';
    const pull = this.pulls.get(sequence);
    driver.abort(sequence);
    if (pull?.moving === true) return;
    if (waiting) pull?.decline();
    else pull?.cancel();
    this.pulls.delete(sequence);
    driver.at((engine, now) => {
      engine.transferFailed(sequence, now);
    });
  }

  /** The `kv_transfer_params` of a finished prefill, as JSON; `null` where no blocks are kept. */
  paramsOf(sequence: Sequence): string {
    const kept = [...this.kept.values()].find((each) => each.sequence === sequence);
    if (kept === undefined || !kept.rank.engine.held.has(sequence)) return 'null';
    const params = transferParams({
      blockIds: sequence.blocks.map((block) => block + 1),
      engineId: this.engineId,
      requestId: kept.requestId,
      host: this.options.host,
      port: this.channel?.port ?? 0,
      tpSize: this.options.tpSize,
      tokens: sequence.computed,
      cachedTokens: sequence.usageCachedTokens,
    });
    return JSON.stringify(params);
  }

  /** Frees the blocks of requests that nobody will read, whichever of their names is given. */
  abortHeld(names: readonly string[]): void {
    this.abortNotices += names.length;
    for (const kept of this.kept.values())
      if (kept.names.some((name) => names.includes(name))) this.release(kept, 'abort');
  }

  /** A decoder that refuses the request tells the prefiller so. */
  refuse(transfer: TransferRequest): void {
    if (transfer.type === 'decode') new Pull(transfer.source).decline();
  }

  /** As a crash: readers are cut off, reads broken off. */
  close(): void {
    this.channel?.close();
    for (const pull of this.pulls.values()) pull.cancel();
    this.pulls.clear();
  }

  private keep(sequence: Sequence, { rank, id, names }: HandoverRequest): Sequence {
    this.forgetEnded();
    const requestId = `${id}-${randomBytes(4).toString('hex')}`;
    this.kept.set(requestId, { sequence, rank, requestId, names: [...names, id, requestId] });
    return sequence;
  }

  /** Leases end without a word, and aborted requests never hold anything. */
  private forgetEnded(): void {
    for (const { sequence, rank, requestId } of this.kept.values())
      if (sequence.ended && !rank.engine.held.has(sequence)) this.kept.delete(requestId);
  }

  private release({ sequence, rank, requestId }: Kept, why: HeldRelease): boolean {
    const released = rank.driver.at((engine, now) => engine.releaseHeld(sequence, why, now));
    if (released) this.kept.delete(requestId);
    return released;
  }

  /** What the side channel asks about one request's blocks. */
  private readonly readerOf = (engineId: string, requestId: string): Reader => {
    const find = (): Kept | null => {
      const kept = engineId === this.engineId ? this.kept.get(requestId) : undefined;
      return kept?.rank.driver.at(({ held }) => held.has(kept.sequence)) === true ? kept : null;
    };
    const expected = find();
    expected?.rank.engine.held.pin(expected.sequence);
    const end = (why: HeldRelease): void => {
      const kept = find();
      if (kept !== null) this.release(kept, why);
      else if (why === 'read') this.lateNotices += 1;
    };
    return {
      read: () =>
        this.options.strike() ?? (engineId === this.engineId ? (find() === null ? 'stale' : 'grant') : 'refuse'),
      done: () => {
        end('read');
      },
      declined: () => {
        end('refusal');
      },
      gone: () => {
        const kept = find();
        kept?.rank.driver.at((engine, now) => {
          engine.held.renew(kept.sequence, now);
        });
      },
    };
  };

  private remote(source: BlockSource, pull: Pull, driver: EngineDriver): RemotePrompt {
    const { clock, speedUp, service, loadFailurePolicy } = this.options;
    const milliseconds = (engineSeconds: number): number => (engineSeconds / speedUp) * 1000;
    const peer = `${source.engineId}@${source.host}:${source.port}`;
    const begin = (sequence: Sequence, seconds: number): void => {
      const death = this.peers.has(peer) ? 0 : milliseconds(handshakeSeconds);
      const tokens = sequence.length - sequence.computed;
      pull.read({ clock, transfer: milliseconds(seconds), death, silence }, (end: PullEnd) => {
        this.pulls.delete(sequence);
        if (end === 'stale') sequence.garble();
        if (end !== 'failed') {
          this.peers.add(peer);
          this.observe(seconds, tokens * service.kvBytesPerToken, Math.ceil(tokens / service.blockSize));
        }
        driver.at((engine, now) => {
          if (end === 'failed') engine.transferFailed(sequence, now, loadFailurePolicy);
          else engine.received(sequence, now);
        });
      });
    };
    return { begin };
  }

  private observe(seconds: number, bytes: number, blocks: number): void {
    this.transferTimes.observe(seconds);
    this.transferBytes.observe(bytes);
    this.transferDescriptors.observe(blocks);
  }
}
