import type { Sequence } from './sequence.ts';
import { stepSeconds, type ServiceModel } from './service-model.ts';

/** What a step computes: who how many tokens. Used anew for each step. */
export class StepPlan {
  readonly sequences: Sequence[] = [];
  readonly tokens: number[] = [];
  /** Seconds that loads from shared storage take before it. */
  loadSeconds = 0;

  clear(): void {
    this.sequences.length = 0;
    this.tokens.length = 0;
    this.loadSeconds = 0;
  }

  add(sequence: Sequence, tokens: number): void {
    this.sequences.push(sequence);
    this.tokens.push(tokens);
  }

  /** How long it takes a healthy engine. The one token behind a prompt computed elsewhere costs what a decode costs. */
  seconds(model: ServiceModel): number {
    let decodes = 0;
    let prefill = 0;
    for (let i = 0; i < this.sequences.length; i++) {
      const { outputLength, transfer } = this.sequences[i];
      if (this.tokens[i] === 1 && (outputLength > 0 || transfer === 'done')) decodes += 1;
      else prefill += this.tokens[i];
    }
    return stepSeconds(model, decodes, prefill) + this.loadSeconds;
  }
}
