import { Type } from 'typebox';
import type { Clock } from '../../router/clock.ts';
import type { PairCosts, Pairs } from '../../router/pairs.ts';
import type { PairCharges } from '../../router/plugin.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { definePairScorer } from '../definition.ts';
import { DecayingLoads } from '../decaying-loads.ts';
import { weight } from '../parameters.ts';

/** What a prompt of so many tokens charges to its prefiller: the ancestor's estimate of prefill time. */
const chargePerToken = 0.0345;
const chargePerRequest = 120.0745;

/** Keeps the share of load of an idle fleet finite. */
const epsilon = 1e-6;

/**
 * The bucket scorer of v25.12, kept as it is for ever (lowest wins), per group g of n:
 * `alpha·A_g/(ΣA + 1e-6) + beta·(TP_g/ΣTP − 1/n)·(1 − L/bucketSeperateLength)`, where A = charges of the prefillers,
 * TP = sum of their tensor-parallel sizes, L = length of the prompt in tokens. Short prompts avoid groups of high TP,
 * long ones prefer them. Ancestor: the heterogeneous proxy server of openFuyao's vllm-ascend.
 */
export const pdBucket = definePairScorer({
  kind: 'pair-scorer',
  type: 'scorer-pd-bucket',
  summary: 'Groups by charged load and, for groups of unequal tensor-parallel size, by prompt length (v25.12).',
  readsHits: false,
  parameters: Type.Object(
    {
      alpha: weight("Weight of the group's share of the load.", 1),
      beta: weight("Weight of the prompt's length.", 2),
      decayFactor: Type.Number({
        minimum: 0,
        maximum: 1,
        default: 0.99,
        description: 'Share of a charge that is left after a second.',
      }),
      bucketSeperateLength: Type.Integer({
        minimum: 1,
        maximum: 100_000_000,
        default: 200,
        description: 'Tokens of a prompt from which on it prefers groups of high tensor-parallel size.',
      }),
    },
    { additionalProperties: false },
  ),
  create: ({ alpha, beta, decayFactor, bucketSeperateLength }, { states, clock }) => {
    const charges = new BucketCharges(states.capacity, decayFactor, clock);
    return {
      charges,
      score(_request: InferenceRequest, pairs: Pairs, costs: PairCosts): void {
        const { length, prefillStarts, prefillSizes, promptTokens } = pairs;
        const allLoad = charges.read(pairs, costs) + epsilon;
        let allSize = 0;
        for (let i = 0; i < pairs.prefills.length; i++) allSize += prefillSizes[i];
        const short = 1 - promptTokens / bucketSeperateLength;
        for (let g = 0; g < length; g++) {
          let load = 0;
          let size = 0;
          for (let i = prefillStarts[g]; i < prefillStarts[g + 1]; i++) {
            load += costs.prefills.charges[i];
            size += prefillSizes[i];
          }
          costs.groups[g] = alpha * (load / allLoad) + beta * (size / allSize - 1 / length) * short;
        }
      },
    };
  },
});

/** What prefillers and decoders are charged for the requests in flight there. */
class BucketCharges implements PairCharges {
  private readonly prefills: DecayingLoads;
  private readonly decodes: DecayingLoads;
  private readonly clock: Pick<Clock, 'now'>;

  constructor(capacity: number, decayFactor: number, clock: Pick<Clock, 'now'>) {
    this.prefills = new DecayingLoads(capacity, decayFactor);
    this.decodes = new DecayingLoads(capacity, decayFactor);
    this.clock = clock;
  }

  /** Writes what each engine is charged; returns the sum over the prefillers. */
  read({ prefills, decodes }: Pairs, costs: PairCosts): number {
    const now = this.clock.now();
    this.decodes.read(decodes, costs.decodes.charges, now);
    return this.prefills.read(prefills, costs.prefills.charges, now);
  }

  charge(prefillSlot: number, decodeSlot: number, promptTokens: number): number {
    const now = this.clock.now();
    if (prefillSlot >= 0) this.prefills.add(prefillSlot, prefillCharge(promptTokens), now);
    this.decodes.add(decodeSlot, promptTokens, now);
    return now;
  }

  prefilled(slot: number, promptTokens: number, chargedAt: number): void {
    this.prefills.giveBack(slot, prefillCharge(promptTokens), chargedAt, this.clock.now());
  }

  ended(slot: number, promptTokens: number, chargedAt: number): void {
    this.decodes.giveBack(slot, promptTokens, chargedAt, this.clock.now());
  }
}

const prefillCharge = (promptTokens: number): number => chargePerToken * promptTokens + chargePerRequest;
