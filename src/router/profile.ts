import type { Candidates } from './candidates.ts';
import type { PairTopology } from './pair-topology.ts';
import type {
  Filter,
  HandoverHeader,
  PairCharges,
  PairPicker,
  Picker,
  WeightedPairScorer,
  WeightedScorer,
} from './plugin.ts';
import type { InferenceRequest } from './request.ts';

/** One scorer's part in an endpoint's score. */
export interface ScorePart {
  readonly scorer: string;
  readonly value: number;
  readonly weight: number;
}

/** Why an endpoint has the score it has; made only when somebody asks. */
export interface ScoreBreakdown {
  readonly endpoint: string;
  readonly address: string;
  /** Weighted sum. Lowest wins when the profile's scorers are costs, highest when they are gains. */
  readonly score: number;
  readonly parts: readonly ScorePart[];
}

/** The plugins of a profile and what they need. */
export interface ProfileParts {
  readonly filters: readonly Filter[];
  /** Names of the filters, in their order. */
  readonly filterTypes: readonly string[];
  readonly scorers: readonly WeightedScorer[];
  readonly picker: Picker;
  readonly pickerType: string;
  /** Whether any plugin reads `candidates.cachedTokens`. */
  readonly readsHits: boolean;
  /** One line for people: `scorer-auto x1 → picker-min-random`. */
  readonly description: string;
  /** Where groups of prefillers and decoders share the work; `scorers` and `picker` then choose the group's leader. */
  readonly pairs?: PairParts;
}

/** How a pair of engines is chosen. */
export interface PairParts {
  /** Of groups that have none of their own. */
  readonly topology: PairTopology;
  /** Name of the plugin that has given it. */
  readonly groupingType: string;
  readonly scorers: readonly WeightedPairScorer[];
  readonly picker: PairPicker;
  /** Loads that scorers keep by themselves. */
  readonly charges: readonly PairCharges[];
  /** What the front door tells the leader by; empty where the leader is to balance by itself. */
  readonly headers: readonly HandoverHeader[];
}

/** Filters, then scorers, then a picker: how one request is placed. */
export class SchedulingProfile {
  readonly parts: ProfileParts;
  /** What the last run has summed up for each candidate; the lowest is the best. */
  totals = new Float64Array(64);
  private values = new Float64Array(64);

  constructor(parts: ProfileParts) {
    this.parts = parts;
  }

  /** Index of the endpoint picked among `candidates` (at least one). */
  run(request: InferenceRequest, candidates: Candidates): number {
    this.total(request, candidates);
    return this.parts.picker.pick(request, candidates, this.totals);
  }

  /** What `run` would return; nothing remembers that it was asked. */
  peek(request: InferenceRequest, candidates: Candidates): number {
    const { picker } = this.parts;
    this.total(request, candidates);
    if (picker.peek !== undefined) return picker.peek(request, candidates, this.totals);
    return picker.pick(request, candidates, this.totals);
  }

  private total(request: InferenceRequest, candidates: Candidates): void {
    const { scorers } = this.parts;
    const n = candidates.length;
    this.fit(n);
    const { totals, values } = this;
    totals.fill(0, 0, n);
    for (let s = 0; s < scorers.length; s++) {
      const part = scorers[s];
      part.scorer.score(request, candidates, values);
      const factor = part.direction === 'cost' ? part.weight : -part.weight;
      for (let i = 0; i < n; i++) totals[i] += factor * values[i];
    }
  }

  /** The scores that `run` saw, in the order of `candidates`. */
  explain(request: InferenceRequest, candidates: Candidates): ScoreBreakdown[] {
    const n = candidates.length;
    this.fit(n);
    const columns = this.parts.scorers.map((part) => {
      part.scorer.score(request, candidates, this.values);
      return Array.from(this.values.subarray(0, n));
    });
    return candidates.endpoints.slice(0, n).map((endpoint, i) => {
      const parts = this.parts.scorers.map(({ type, weight }, s) => ({ scorer: type, value: columns[s][i], weight }));
      const score = parts.reduce((sum, { value, weight }) => sum + value * weight, 0);
      return { endpoint: endpoint.name, address: endpoint.address, score, parts };
    });
  }

  private fit(n: number): void {
    if (this.totals.length >= n) return;
    this.totals = new Float64Array(n * 2);
    this.values = new Float64Array(n * 2);
  }
}
