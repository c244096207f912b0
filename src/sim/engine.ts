import { BlockPool } from './block-pool.ts';
import { Sequence, type SequenceSpec } from './sequence.ts';
import { stepSeconds, type ServiceModel } from './service-model.ts';

/** Told what enters and leaves the prefix cache, in order; a batch ends with each step. */
export interface CacheListener {
  /** Blocks `from` up to (not including) `to` of a sequence can now be hit. */
  stored(sequence: Sequence, from: number, to: number): void;
  removed(high: number, low: number): void;
  cleared(): void;
  /** The step at whose end this is called has told all; `seconds` is engine time. */
  stepEnded(seconds: number): void;
}

/** Counters since the start; tokens, requests and engine seconds. */
export interface EngineTotals {
  submitted: number;
  finished: number;
  aborted: number;
  preempted: number;
  steps: number;
  /** Prompt tokens looked up in the prefix cache, and found there: at first admission only, as vLLM counts. */
  queriedTokens: number;
  hitTokens: number;
  promptTokens: number;
  generatedTokens: number;
  /** Requests' time from arrival to last token. */
  requestSeconds: number;
  /** How much later than due their last tokens came out: the simulator's own fault, not the engine's. */
  lateSeconds: number;
}

/**
 * A continuous-batching engine in the manner of vLLM's V1 scheduler, without I/O: time is passed in, in seconds.
 * A step serves running requests first, in order of arrival (one token for each that decodes, the next chunk for each whose
 * prompt is not computed yet), then admits waiting ones, first come first served, while the token budget, the batch and the
 * free blocks last. An admitted request holds blocks for its whole prompt; full blocks can be hit from the step that
 * computes them on. When a decode finds no block, the request admitted last gives up its blocks and waits again.
 */
export class Engine {
  readonly model: ServiceModel;
  readonly pool: BlockPool;
  readonly totals: EngineTotals = {
    submitted: 0,
    finished: 0,
    aborted: 0,
    preempted: 0,
    steps: 0,
    queriedTokens: 0,
    hitTokens: 0,
    promptTokens: 0,
    generatedTokens: 0,
    requestSeconds: 0,
    lateSeconds: 0,
  };
  /** Factor on every step's time; 1 is healthy. */
  slowdown = 1;

  private readonly cache: CacheListener | null;
  private readonly runningQueue: Sequence[] = [];
  private readonly waitingQueue: Sequence[] = [];
  // The step under way: who computes how many tokens.
  private readonly planned: Sequence[] = [];
  private readonly plannedTokens: number[] = [];
  private stepDue = Infinity;
  private asleep = false;
  private clearPending = false;

  constructor(model: ServiceModel, cache: CacheListener | null = null) {
    this.model = model;
    this.cache = cache;
    this.pool = new BlockPool(Math.floor(model.kvTokens / model.blockSize), cache);
  }

  /** When the step under way ends; Infinity while there is none. */
  get due(): number {
    return this.stepDue;
  }

  get running(): number {
    return this.runningQueue.length;
  }

  get waiting(): number {
    return this.waitingQueue.length;
  }

  get sleeping(): boolean {
    return this.asleep;
  }

  /** Names of the LoRA adapters that have a request in the batch or the queue. */
  get adapters(): Set<string> {
    const names = new Set<string>();
    for (const { adapter } of [...this.runningQueue, ...this.waitingQueue])
      if (adapter !== null) names.add(adapter.name);
    return names;
  }

  /** Share of the KV cache that requests hold, 0..1. */
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

  /** Takes a request out at once and frees its blocks; the step under way takes as long as it takes. */
  abort(sequence: Sequence, now: number): void {
    if (sequence.ended) return;
    this.leave(sequence);
    this.free(sequence);
    sequence.state = 'aborted';
    sequence.endedAt = now;
    this.totals.aborted += 1;
  }

  /** Ends every step that is due by `now`, each at its own time. */
  advance(now: number): void {
    while (this.stepDue <= now) {
      const ended = this.stepDue;
      this.endStep(ended, now);
      this.startStep(ended);
    }
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

  private startStep(now: number): void {
    this.stepDue = Infinity;
    if (this.asleep) return;
    if (this.clearPending) this.cache?.cleared();
    this.clearPending = false;
    this.planned.length = 0;
    this.plannedTokens.length = 0;
    this.admit(this.planRunning(this.model.chunkTokens));
    if (this.planned.length === 0) return;
    this.stepDue = now + this.plannedSeconds() * this.slowdown;
  }

  private plannedSeconds(): number {
    let decodes = 0;
    let prefill = 0;
    for (let i = 0; i < this.planned.length; i++) {
      const sequence = this.planned[i];
      if (sequence.outputLength > 0 && this.plannedTokens[i] === 1) decodes += 1;
      else prefill += this.plannedTokens[i];
    }
    return stepSeconds(this.model, decodes, prefill);
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
    this.free(sequence);
    sequence.computed = 0;
    sequence.registered = 0;
    sequence.state = 'waiting';
    this.waitingQueue.unshift(sequence);
    this.totals.preempted += 1;
  }

  private admit(budget: number): void {
    let left = budget;
    while (left > 0 && this.waitingQueue.length > 0 && this.runningQueue.length < this.model.maxRunning) {
      const sequence = this.waitingQueue[0];
      if (!this.allocate(sequence)) return;
      this.waitingQueue.shift();
      this.runningQueue.push(sequence);
      sequence.state = 'running';
      left -= this.plan(sequence, left);
    }
  }

  /** Holds cached blocks and takes free ones for all tokens of a waiting sequence; false when too few are free. */
  private allocate(sequence: Sequence): boolean {
    const { pool } = this;
    const { blockSize } = this.model;
    const needed = Math.ceil(sequence.length / blockSize);
    const hits = this.cachedBlocks(sequence);
    let free = pool.free - (needed - hits.length);
    for (const block of hits) if (pool.isFree(block)) free -= 1;
    if (free < 0) return false;
    for (const block of hits) pool.hold(block);
    sequence.registered = hits.length;
    sequence.computed = hits.length * blockSize;
    this.countHits(sequence);
    sequence.blocks = hits;
    while (sequence.blocks.length < needed) sequence.blocks.push(pool.take());
    return true;
  }

  /** A request counts once, when it is first admitted: what it finds again after a preemption is its own. */
  private countHits(sequence: Sequence): void {
    if (sequence.cachedTokens >= 0) return;
    sequence.cachedTokens = sequence.computed;
    this.totals.queriedTokens += sequence.promptLength;
    this.totals.hitTokens += sequence.cachedTokens;
  }

  /** The leading blocks found in the cache; the last token is always computed, since its result is the next token. */
  private cachedBlocks(sequence: Sequence): number[] {
    const { blockSize } = this.model;
    const most = Math.floor((sequence.length - 1) / blockSize);
    const hits: number[] = [];
    while (hits.length < most) {
      const block = this.pool.find(sequence.hashHigh(hits.length), sequence.hashLow(hits.length));
      if (block < 0) break;
      hits.push(block);
    }
    return hits;
  }

  private plan(sequence: Sequence, budget: number): number {
    const tokens = Math.min(sequence.length - sequence.computed, budget);
    this.planned.push(sequence);
    this.plannedTokens.push(tokens);
    this.register(sequence, sequence.computed + tokens);
    return tokens;
  }

  /** Offers to the cache the full blocks that this step computes: requests of the same step may already share them. */
  private register(sequence: Sequence, upTo: number): void {
    const full = Math.floor(upTo / this.model.blockSize);
    let runStart = sequence.registered;
    for (let block = sequence.registered; block < full; block++) {
      const high = sequence.hashHigh(block);
      if (this.pool.register(sequence.blocks[block], high, sequence.hashLow(block))) continue;
      if (block > runStart) this.cache?.stored(sequence, runStart, block);
      runStart = block + 1;
    }
    if (full > runStart) this.cache?.stored(sequence, runStart, full);
    sequence.registered = Math.max(sequence.registered, full);
  }

  private endStep(ended: number, now: number): void {
    this.totals.steps += 1;
    for (let i = 0; i < this.planned.length; i++) {
      const sequence = this.planned[i];
      if (sequence.state !== 'running') continue;
      sequence.computed += this.plannedTokens[i];
      if (sequence.computed === sequence.length) this.produce(sequence, ended, now);
    }
    this.cache?.stepEnded(ended);
  }

  private produce(sequence: Sequence, ended: number, now: number): void {
    const { totals } = this;
    if (sequence.firstTokenAt < 0) {
      sequence.firstTokenAt = ended;
      totals.promptTokens += sequence.promptLength;
    }
    if (sequence.maxOutput > 0) {
      sequence.generate();
      totals.generatedTokens += 1;
    }
    if (sequence.outputLength === sequence.maxOutput) {
      this.leave(sequence);
      this.free(sequence);
      sequence.state = 'finished';
      sequence.endedAt = ended;
      totals.finished += 1;
      totals.requestSeconds += ended - sequence.arrivedAt;
      totals.lateSeconds += now - ended;
    }
    sequence.listener.progressed(sequence);
  }

  private leave(sequence: Sequence): void {
    const queue = sequence.state === 'running' ? this.runningQueue : this.waitingQueue;
    const at = queue.indexOf(sequence);
    if (at >= 0) queue.splice(at, 1);
  }

  /** The last block first: the end of a prompt is the part least likely to be shared. */
  private free(sequence: Sequence): void {
    for (let i = sequence.blocks.length - 1; i >= 0; i--) this.pool.release(sequence.blocks[i]);
    sequence.blocks = [];
  }
}
