/** One scorer's part in a score. */
export interface ScoredPart {
  readonly scorer: string;
  readonly value: number;
  readonly weight: number;
}

/** Digits that a mean is told with: more would only make reports longer. */
const digits = 6;

/** Means of an endpoint's scores and of their parts, over the present half minute and the one before. */
export class ScoreMeans {
  private readonly scorers: readonly string[];
  private weights: readonly number[];
  private present: Sums;
  private before: Sums;

  constructor(parts: readonly ScoredPart[]) {
    this.scorers = parts.map(({ scorer }) => scorer);
    this.weights = parts.map(({ weight }) => weight);
    this.present = new Sums(parts.length);
    this.before = new Sums(parts.length);
  }

  /** Decisions that were looked at. */
  get looked(): number {
    return this.present.count + this.before.count;
  }

  /** Whether these are parts of the same scorers. */
  fits(parts: readonly ScoredPart[]): boolean {
    return parts.length === this.scorers.length && parts.every(({ scorer }, i) => scorer === this.scorers[i]);
  }

  add(score: number, parts: readonly ScoredPart[]): void {
    this.weights = parts.map(({ weight }) => weight);
    this.present.add(score, parts);
  }

  /** Half a minute has gone by. */
  turn(): void {
    this.before = this.present;
    this.present = new Sums(this.scorers.length);
  }

  /** Means, and the weights as they were last. */
  read(): { score: number; breakdown: ScoredPart[] } {
    const { present, before } = this;
    const mean = (a: number, b: number): number => Number(((a + b) / this.looked).toPrecision(digits));
    return {
      score: mean(present.score, before.score),
      breakdown: this.scorers.map((scorer, i) => ({
        scorer,
        value: mean(present.values[i], before.values[i]),
        weight: this.weights[i],
      })),
    };
  }
}

class Sums {
  count = 0;
  score = 0;
  readonly values: Float64Array;

  constructor(scorers: number) {
    this.values = new Float64Array(scorers);
  }

  add(score: number, parts: readonly ScoredPart[]): void {
    this.count += 1;
    this.score += score;
    for (let i = 0; i < parts.length; i++) this.values[i] += parts[i].value;
  }
}
