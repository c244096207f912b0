import { QuestionError } from './errors.ts';
import type { Question } from './question.ts';
import type { BlockLookup, PrefixMatch, PromptTokenizer, Roster, Served, ServingPod, WantedPrefix } from './roster.ts';

/** One pod's row of an answer of `/match_sort`. */
export interface MatchRow {
  readonly pod: string;
  readonly address: string;
  /** Tokens of the prompt's prefix that its engine need not compute. */
  readonly matched_tokens: number;
  /** Of all tokens of the prompt, 0..1. */
  readonly hit_rate: number;
  /** Where those tokens lie; they sum up to `matched_tokens`. */
  readonly tiers: { readonly gpu: number; readonly cpu: number; readonly disk: number };
}

/** An answer of `/match_sort`. */
export interface MatchSortAnswer {
  readonly model: string;
  /** Tokens in a block, as asked or as most engines of the model have it; 0 while none has told. */
  readonly block_size: number;
  /** Tokens in the prompt. */
  readonly tokens: number;
  /** Highest hit rate first. */
  readonly matches: readonly MatchRow[];
}

/** An answer of `/kv-cache/hit-rate`. */
export interface HitRateAnswer {
  readonly hit_rates: readonly {
    readonly pod: string;
    readonly address: string;
    /** Share of the prompt in a row from its start in GPU memory. */
    readonly l1: number;
    /** The same on whatever tier, GPU memory, host memory or disk. */
    readonly l3: number;
  }[];
}

/** What the answers are made of. */
export interface Knowledge {
  readonly roster: Roster;
  readonly blocks: BlockLookup;
  readonly tokenizer: PromptTokenizer;
}

/** Answers who has how much of a prompt, best first. Rejects with QuestionError. */
export async function answerMatchSort(question: Question, knowledge: Knowledge): Promise<MatchSortAnswer> {
  const asked = await settle(question, knowledge);
  const matches = bestOfRanks(asked, knowledge.blocks).map((best, i) => {
    const matched = sum(best);
    return {
      pod: asked.pods[i].name,
      address: asked.pods[i].address,
      matched_tokens: matched,
      hit_rate: share(matched, asked.tokens),
      tiers: { gpu: best.gpu, cpu: best.cpu, disk: best.disk },
    };
  });
  // The sort is stable: equal pods keep their order.
  matches.sort((a, b) => b.hit_rate - a.hit_rate);
  return { model: question.model, block_size: asked.blockSize, tokens: asked.tokens, matches };
}

/** Answers which share of a prompt each pod has in a row, by level. Rejects with QuestionError. */
export async function answerHitRates(question: Question, knowledge: Knowledge): Promise<HitRateAnswer> {
  const asked = await settle(question, knowledge);
  const { prefix, pods, tokens } = asked;
  const holders = pods.flatMap((pod) => pod.holders);
  const runs = knowledge.blocks.gpuRuns(prefix, holders);
  const best = bestOfRanks(asked, knowledge.blocks);
  let at = 0;
  return {
    hit_rates: pods.map((pod, i) => {
      const run = Math.max(0, ...runs.slice(at, at + pod.holders.length));
      at += pod.holders.length;
      return { pod: pod.name, address: pod.address, l1: share(run, tokens), l3: share(sum(best[i]), tokens) };
    }),
  };
}

/** What a question comes to. */
interface Asked {
  readonly blockSize: number;
  /** Tokens in the prompt. */
  readonly tokens: number;
  readonly prefix: WantedPrefix;
  readonly pods: readonly ServingPod[];
}

async function settle(question: Question, knowledge: Knowledge): Promise<Asked> {
  const served = servedFor(question, knowledge);
  const blockSize = blockSizeFor(question, served, knowledge);
  const tokens = await tokensOf(question, served, knowledge);
  // An engine computes the last token of a prompt whatever its cache holds: it has to make the next one from it.
  const reusable = tokens.subarray(0, Math.max(0, tokens.length - 1));
  return {
    blockSize,
    tokens: tokens.length,
    prefix: { tokens: reusable, lora: served.lora, salt: question.salt },
    pods: chosen(question, served),
  };
}

function servedFor({ model }: Question, { roster }: Knowledge): Served {
  const served = roster.serving(model);
  if (served !== null) return served;
  const { models } = roster;
  const known =
    models.length === 0
      ? 'no engine has named its models yet'
      : `served are ${models.slice(0, 8).join(', ')}${models.length > 8 ? ', …' : ''}`;
  throw new QuestionError('model_not_found', `the model \`${model.slice(0, 256)}\` does not exist; ${known}`, 'model');
}

/**
 * The block size of the answer. Each pod is looked up by its own, so that one which the client names is only checked:
 * not before every engine has told its own.
 */
function blockSizeFor({ blockSize }: Question, { pods }: Served, { blocks }: Knowledge): number {
  const counts = new Map<number, number>();
  let told = true;
  for (const { holders } of pods) {
    const sizes = new Set(holders.map((holder) => blocks.blockSizeOf(holder)).filter((size) => size > 0));
    if (sizes.size === 0) told = false;
    for (const size of sizes) counts.set(size, (counts.get(size) ?? 0) + 1);
  }
  const [[most] = [0]] = [...counts].sort(([a, m], [b, n]) => n - m || a - b);
  if (blockSize === null) return most;
  if (told && !counts.has(blockSize)) {
    const used = [...counts.keys()].sort((a, b) => a - b).join(', ');
    const message = `block_size ${blockSize} is used by no engine of this model; used: ${used}`;
    throw new QuestionError('invalid_value', message, 'block_size');
  }
  return blockSize;
}

async function tokensOf({ model, prompt }: Question, { pods }: Served, knowledge: Knowledge): Promise<Uint32Array> {
  if (prompt.tokens !== null) return prompt.tokens;
  const tokens = await knowledge.tokenizer.tokenize(model, prompt.body, pods);
  if (tokens !== null) return tokens;
  const message = 'no engine of this model has tokenised the prompt; try again, or send token_ids';
  throw new QuestionError('tokenizer_unavailable', message);
}

/** The pods to tell of, in the order of the roster. */
function chosen({ candidates }: Question, { pods }: Served): readonly ServingPod[] {
  if (candidates === null) return pods;
  return pods.filter(({ name, address }) => candidates.has(address) || candidates.has(name));
}

const none: PrefixMatch = { gpu: 0, cpu: 0, disk: 0 };

/** For each pod, what the best of its ranks has: a request runs in one of them. */
function bestOfRanks({ prefix, pods }: Asked, blocks: BlockLookup): PrefixMatch[] {
  const holders = pods.flatMap((pod) => pod.holders);
  const found = blocks.match(prefix, holders);
  let at = 0;
  return pods.map((pod) => {
    const ranks = found.slice(at, at + pod.holders.length);
    at += pod.holders.length;
    return ranks.reduce((best, one) => (isBetter(one, best) ? one : best), none);
  });
}

/** More of the prompt, or as much nearer by. */
function isBetter(one: PrefixMatch, other: PrefixMatch): boolean {
  return sum(one) > sum(other) || (sum(one) === sum(other) && one.gpu > other.gpu);
}

const sum = ({ gpu, cpu, disk }: PrefixMatch): number => gpu + cpu + disk;

const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
