import { Allocation, type SharedStore, type StoreListener } from './allocation.ts';
import { BlockPool } from './block-pool.ts';
import { HeldBlocks, type HeldRelease, type Holds } from './held-blocks.ts';
import { Sequence, type SequenceSpec } from './sequence.ts';
import { transferSeconds, type ServiceModel } from './service-model.ts';
import { StepPlan } from './step-plan.ts';
import { noTotals, type EngineTotals } from './totals.ts';
import { Transfers } from './transfers.ts';

/** Told what enters and leaves the prefix cache, in order; a batch ends with each step. */
export interface CacheListener extends StoreListener {
  removed(high: number, low: number): void;
  cleared(): void;
  /** The step at whose end this is called has told all; `seconds` is engine time. */
  stepEnded(seconds: number): void;
}

/**
 * A continuous-batching engine in the manner of vLLM's V1 scheduler, without I/O: time is passed in, in seconds.
 * A step serves running requests first, in order of arrival (one token for each that decodes, the next chunk for each whose
 * prompt is not computed yet), then admits waiting ones, first come first served, while the token budget, the batch and the
 * free blocks last. An admitted request holds blocks for its whole prompt; full blocks can be hit from the step that
 * computes them on. When a decode finds no block, the request admitted last gives up its blocks and waits again.
 *
 * Between two engines, as with vLLM's NIXL connector: a request with `holdAfter` keeps its blocks when it has finished, until
 * `releaseHeld` or the end of its lease; one with `remote` gets its blocks in its turn, waits outside the batch for their content,
 * then goes before all others, with one token of the prompt to compute.
 */
export class Engine {
  readonly model: ServiceModel;
  readonly pool: BlockPool;
  readonly totals: EngineTotals = noTotals();
  /** Factor on every step's time; 1 is healthy. */
  slowdown = 1;

  private readonly cache: CacheListener | null;
  private readonly store: SharedStore | null;
  private readonly allocation: Allocation;
  private readonly holds: HeldBlocks;
  private readonly transfers = new Transfers();
  private readonly runningQueue: Sequence[] = [];
  private readonly waitingQueue: Sequence[] = [];
  /** Those whose transfer has ended: they have their blocks. */
  private readonly readyQueue: Sequence[] = [];
  /** The step under way. */
  private readonly step = new StepPlan();
  private stepDue = Infinity;
  private asleep = false;
  private clearPending = false;

  constructor(model: ServiceModel, cache: CacheListener | null = null, store: SharedStore | null = null) {
    this.model = model;
    this.cache = cache;
    this.store = store;
    this.pool = new BlockPool(Math.floor(model.kvTokens / model.blockSize), cache);
    this.allocation = new Allocation(this.pool, model.blockSize, cache);
    this.holds = new HeldBlocks(model.leaseSeconds, this.totals);
  }

  /** When something happens next by itself: the step under way, a transfer or a lease ends. Infinity for never. */
  get due(): number {
    return Math.min(this.stepDue, this.transfers.due, this.holds.due);
  }

  get running(): number {
    return this.runningQueue.length;
  }

  /** Requests outside the batch, those that wait for a transfer included. */
  get waiting(): number {
    return this.waitingQueue.length + this.transfers.awaited + this.readyQueue.length;
  }

  /** Transfers from other engines under way, of requests that have gone too. */
  get receiving(): number {
    return this.transfers.size;
  }

  /** Finished requests whose blocks are kept for other engines to read. */
  get held(): Holds {
    return this.holds;
  }

  get sleeping(): boolean {
    return this.asleep;
  }

  /** Names of the LoRA adapters that have a request in the batch or the queue. */
  get adapters(): Set<string> {
    const names = new Set<string>();
    for (const { adapter } of [...this.runningQueue, ...this.waitingQueue, ...this.readyQueue])
      if (adapter !== null) names.add(adapter.name);
    return names;
  }

  /** Share of the KV cache that requests hold, those that have finished and are kept for a reader included; 0..1. */
  get usage(): number {
    return this.pool.used / this.pool.size;
  }

  /** Queues a request; `now` must not lie before the last `advance`. Throws RangeError for one that can never fit. */
  submit(spec: SequenceSpec, now: number): Sequence {
    const sequence = new Sequence(spec, this.model.blockSize);
    if (sequence.promptLength === 0) throw new RangeError('a prompt needs at least one token');
    if (sequence.tokens.length > this.pool.size * this.model.blockSize)
      throw new RangeError(
        `${sequence.tokens.length} tokens do not fit a KV cache of ${this.pool.size * this.model.blockSize}`,
      );
    sequence.arrivedAt = now;
    sequence.state = 'waiting';
    this.totals.submitted += 1;
    this.waitingQueue.push(sequence);
    if (this.stepDue === Infinity) this.startStep(now);
    return sequence;
  }

  /**
   * Takes a request out at once and frees its blocks; the step under way takes as long as it takes. The blocks of one that is
   * receiving are written from outside, so they are freed when its transfer ends.
   */
  abort(sequence: Sequence, now: number): void {
    if (sequence.ended) return;
    const receiving = sequence.state === 'receiving';
    this.leave(sequence);
    sequence.state = 'aborted';
    sequence.endedAt = now;
    this.totals.aborted += 1;
    if (receiving) this.transfers.orphan(sequence);
    else this.allocation.free(sequence);
    this.goOn(now);
  }

  /** Ends everything that is due by `now`, each at its own time. */
  advance(now: number): void {
    for (let at = this.due; at <= now; at = this.due) {
      this.endLeases(at);
      this.endTransfers(at);
      if (this.stepDue <= at) {
        this.endStep(at, now);
        this.startStep(at);
      }
    }
    this.holds.settle(now);
  }

  /**
   * The KV of a receiving sequence's prompt is there; nothing happens when its transfer has ended already. Neither this nor
   * `transferFailed` may be called from within `RemotePrompt.begin`.
   */
  received(sequence: Sequence, now: number): void {
    const seconds = this.transfers.end(sequence, now);
    if (seconds < 0) return;
    this.totals.transfers += 1;
    this.totals.transferSeconds += seconds;
    sequence.transfer = 'done';
    if (sequence.state === 'receiving') {
      sequence.state = 'waiting';
      // The last token is computed again, since its result is the first token of the answer.
      const tokens = sequence.length - 1;
      this.totals.externalTokens += sequence.length - sequence.computed;
      this.allocation.register(sequence, tokens);
      sequence.computed = tokens;
      this.readyQueue.push(sequence);
    } else this.allocation.free(sequence);
    this.goOn(now);
  }

  /** A receiving sequence's KV will not come: it fails, or (`recompute`) its prompt is computed here. */
  transferFailed(sequence: Sequence, now: number, policy: 'fail' | 'recompute' = 'fail'): void {
    if (this.transfers.end(sequence, now) < 0) return;
    this.totals.failedTransfers += 1;
    sequence.transfer = 'failed';
    if (sequence.state === 'receiving' && policy === 'recompute') {
      sequence.state = 'waiting';
      this.readyQueue.push(sequence);
    } else this.giveUp(sequence, now);
    this.goOn(now);
  }

  private giveUp(sequence: Sequence, now: number): void {
    this.allocation.free(sequence);
    if (sequence.ended) return;
    sequence.state = 'failed';
    sequence.endedAt = now;
    this.totals.failed += 1;
    sequence.listener.progressed(sequence);
  }

  /** Frees the blocks of a finished sequence that is held; false when it is not. */
  releaseHeld(sequence: Sequence, why: HeldRelease, now: number): boolean {
    if (!this.holds.release(sequence, why, now)) return false;
    this.allocation.free(sequence);
    this.goOn(now);
    return true;
  }

  /** No further step starts until `wake`; requests wait without an answer. The cache is lost. */
  sleep(): void {
    this.asleep = true;
    this.clearCache();
  }

  wake(now: number): void {
    this.asleep = false;
    if (this.stepDue === Infinity) this.startStep(now);
  }

  /** Forgets all cached blocks; false, and nothing happens, while a request holds some. Listeners hear at the next step. */
  clearCache(): boolean {
    const cleared = this.pool.clear();
    if (cleared) this.clearPending = true;
    return cleared;
  }

  private endLeases(now: number): void {
    for (let late = this.holds.expired(now); late !== null; late = this.holds.expired(now))
      this.releaseHeld(late, 'lease', now);
  }

  private endTransfers(now: number): void {
    for (let next = this.transfers.ended(now); next !== null; next = this.transfers.ended(now)) {
      this.received(next, now);
      next.remote?.done?.(next, now);
    }
  }

  /** With no step under way, what has become free or ready may start one. */
  private goOn(now: number): void {
    if (this.stepDue === Infinity && this.waiting > 0) this.startStep(now);
  }

  private startStep(now: number): void {
    this.stepDue = Infinity;
    if (this.asleep) return;
    if (this.clearPending) this.cache?.cleared();
    this.clearPending = false;
    this.step.clear();
    const budget = this.admitReady(this.planRunning(this.model.chunkTokens));
    this.admit(budget, now);
    if (this.step.sequences.length === 0) return;
    this.stepDue = now + this.step.seconds(this.model) * this.slowdown;
  }

  /** Plans the next tokens of the batch; returns what is left of the budget. */
  private planRunning(budget: number): number {
    let left = budget;
    for (let i = 0; i < this.runningQueue.length && left > 0; i++) {
      const sequence = this.runningQueue[i];
      if (!this.growOrPreempt(sequence)) break;
      left -= this.plan(sequence, left);
    }
    return left;
  }

  /** Makes room for every token of a running sequence; false when it had to give up its own place. */
  private growOrPreempt(sequence: Sequence): boolean {
    const { blockSize } = this.model;
    while (sequence.blocks.length * blockSize < sequence.length) {
      if (this.pool.free > 0) {
        sequence.blocks.push(this.pool.take());
        continue;
      }
      const last = this.runningQueue[this.runningQueue.length - 1];
      this.preempt(last);
      if (last === sequence) return false;
    }
    return true;
  }

  private preempt(sequence: Sequence): void {
    this.runningQueue.pop();
    this.allocation.free(sequence);
    sequence.computed = 0;
    sequence.registered = 0;
    sequence.state = 'waiting';
    this.waitingQueue.unshift(sequence);
    this.totals.preempted += 1;
  }

  /** Those whose transfer has ended go first; returns what is left of the budget. */
  private admitReady(budget: number): number {
    let left = budget;
    while (left > 0 && this.readyQueue.length > 0 && this.runningQueue.length < this.model.maxRunning) {
      const sequence = this.readyQueue[0];
      this.readyQueue.shift();
      left -= this.run(sequence, left);
    }
    return left;
  }

  private admit(budget: number, now: number): void {
    let left = budget;
    while (left > 0 && this.waitingQueue.length > 0 && this.runningQueue.length < this.model.maxRunning) {
      const sequence = this.waitingQueue[0];
      if (!this.allocation.allocate(sequence)) return;
      this.countHits(sequence);
      this.waitingQueue.shift();
      if (sequence.transfer === 'wanted') this.receive(sequence, now);
      else {
        this.load(sequence);
        left -= this.run(sequence, left);
      }
    }
  }

  private run(sequence: Sequence, budget: number): number {
    this.runningQueue.push(sequence);
    sequence.state = 'running';
    return this.plan(sequence, budget);
  }

  /** Its blocks are taken; it waits outside the batch for their content. */
  private receive(sequence: Sequence, now: number): void {
    const { remote } = sequence;
    const seconds = remote?.seconds ?? transferSeconds(this.model, sequence.length - sequence.computed);
    const told = remote?.begin;
    sequence.state = 'receiving';
    this.transfers.begin(sequence, now, told ? Infinity : Math.max(now, remote?.readyAt ?? now) + seconds);
    told?.(sequence, seconds);
  }

  /** Takes from shared storage what goes beyond the engine's own cache; the step waits for it. */
  private load(sequence: Sequence): void {
    const stored = this.store?.find(sequence) ?? 0;
    sequence.loadedTokens = Math.max(0, Math.min(stored, sequence.length - 1) - sequence.computed);
    if (sequence.loadedTokens === 0) return;
    sequence.computed += sequence.loadedTokens;
    this.totals.externalTokens += sequence.loadedTokens;
    this.step.loadSeconds += transferSeconds(this.model, sequence.loadedTokens);
  }

  /** A request counts once, when it is first admitted: what it finds again after a preemption is its own. */
  private countHits(sequence: Sequence): void {
    if (sequence.cachedTokens >= 0) return;
    sequence.cachedTokens = sequence.computed;
    this.totals.queriedTokens += sequence.promptLength;
    this.totals.hitTokens += sequence.cachedTokens;
  }

  private plan(sequence: Sequence, budget: number): number {
    const tokens = Math.min(sequence.length - sequence.computed, budget);
    this.step.add(sequence, tokens);
    this.allocation.register(sequence, sequence.computed + tokens);
    return tokens;
  }

  private endStep(ended: number, now: number): void {
    this.totals.steps += 1;
    const { sequences, tokens } = this.step;
    for (let i = 0; i < sequences.length; i++) {
      const sequence = sequences[i];
      if (sequence.state !== 'running') continue;
      sequence.computed += tokens[i];
      if (sequence.computed === sequence.length) this.produce(sequence, ended, now);
    }
    this.cache?.stepEnded(ended);
  }

  private produce(sequence: Sequence, ended: number, now: number): void {
    const { totals } = this;
    if (sequence.firstTokenAt < 0) {
      sequence.firstTokenAt = ended;
      totals.promptTokens += sequence.promptLength;
      this.store?.save(sequence);
    }
    if (sequence.maxOutput > 0) {
      sequence.generate();
      totals.generatedTokens += 1;
    }
    if (sequence.outputLength === sequence.maxOutput) this.finish(sequence, ended, now);
    sequence.listener.progressed(sequence);
  }

  private finish(sequence: Sequence, ended: number, now: number): void {
    const { totals } = this;
    this.leave(sequence);
    if (sequence.holdAfter) this.holds.hold(sequence, ended);
    else this.allocation.free(sequence);
    sequence.state = 'finished';
    sequence.endedAt = ended;
    totals.finished += 1;
    totals.requestSeconds += ended - sequence.arrivedAt;
    totals.lateSeconds += now - ended;
  }

  private leave(sequence: Sequence): void {
    for (const queue of [this.runningQueue, this.waitingQueue, this.readyQueue]) {
      const at = queue.indexOf(sequence);
      if (at >= 0) queue.splice(at, 1);
    }
  }
}
