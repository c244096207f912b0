import { Value } from 'typebox/value';
import { beforeEach, describe, expect, it } from 'vitest';
import { BlockIndex } from '../blocks/block-index.ts';
import { Tier, type Holder } from '../kv-events.ts';
import { answerHitRates, answerMatchSort, type Knowledge, type MatchSortAnswer } from './answer.ts';
import { QuestionError } from './errors.ts';
import { IndexLookup } from './index-lookup.ts';
import { parseHitRateQuestion, parseMatchSortQuestion } from './question.ts';
import type { Served } from './roster.ts';
import { hitRateAnswer, matchSortAnswer } from './schema.ts';

const secret = 7;
const blockSize = 4;

let index: BlockIndex;
let knowledge: Knowledge;
let models: Map<string, Served>;
let tokenizer: (body: Readonly<Record<string, unknown>>) => Promise<Uint32Array | null>;
beforeEach(() => {
  index = new BlockIndex({ secret, clock: { now: () => 1 } });
  models = new Map();
  tokenizer = () => Promise.resolve(null);
  knowledge = {
    roster: { serving: (model) => models.get(model) ?? null, models: ['m', 'other'] },
    blocks: new IndexLookup(index, secret),
    tokenizer: { tokenize: (_model, body) => tokenizer(body) },
  };
});

const prompt = (length: number, from = 0): number[] => Array.from({ length }, (_, i) => from + i);

function holder(): Holder {
  const opened = index.open();
  if (opened === null) throw new Error('no holder is free');
  return opened;
}

interface Stored {
  readonly size?: number;
  readonly tier?: Tier;
  readonly lora?: string;
  readonly salt?: string;
  /** Which blocks of the tokens; the whole of them unless given. */
  readonly upTo?: number;
}

/** Stores the full blocks of tokens; the engine names them by numbers that follow from the first token. */
function store(at: Holder, tokens: readonly number[], stored: Stored = {}): void {
  const { size = blockSize, tier = Tier.gpu, lora = '', salt = '', upTo = Infinity } = stored;
  const count = Math.min(upTo, Math.floor(tokens.length / size));
  index.stored(at, {
    count,
    hashes: Uint32Array.from({ length: 2 * count }, (_, i) => 1000 * (1 + tokens[0]) + i),
    hasParent: false,
    parentLow: 0,
    parentHigh: 0,
    tokens: Uint32Array.from(tokens.slice(0, count * size)),
    blockSize: size,
    lora,
    salt,
    extras: null,
    tier,
  });
}

/** Pods `a`, `b` … of the model `m` with these caches. */
function serve(...holders: readonly (readonly Holder[])[]): void {
  const pods = holders.map((ranks, i) => ({
    name: 'abcdef'[i],
    address: `10.0.0.${i + 1}:8000`,
    holders: ranks,
  }));
  models.set('m', { pods, lora: '' });
}

async function ask(question: object): Promise<MatchSortAnswer> {
  const body = Buffer.from(JSON.stringify({ model: 'm', ...question }));
  const answer = await answerMatchSort(parseMatchSortQuestion(body), knowledge);
  expect(Value.Check(matchSortAnswer, answer), 'the answer is as the API description says').toBe(true);
  return answer;
}

const matched = ({ matches }: MatchSortAnswer): [string, number][] =>
  matches.map(({ pod, matched_tokens }) => [pod, matched_tokens]);

async function refusal(question: object): Promise<string> {
  const error: unknown = await ask(question).then(
    () => null,
    (fault: unknown) => fault,
  );
  if (!(error instanceof QuestionError)) throw new Error('it was not refused', { cause: error });
  return `${error.code} ${error.param ?? '-'}: ${error.message}`;
}

describe('/match_sort', () => {
  it('lists every pod of the model, the best first, zeros included', async () => {
    const [a, b, c] = [holder(), holder(), holder()];
    serve([a], [b], [c]);
    store(b, prompt(8));
    store(c, prompt(13));
    const answer = await ask({ token_ids: prompt(14) });
    expect(answer).toEqual({
      model: 'm',
      block_size: 4,
      tokens: 14,
      matches: [
        {
          pod: 'c',
          address: '10.0.0.3:8000',
          matched_tokens: 12,
          hit_rate: 12 / 14,
          tiers: { gpu: 12, cpu: 0, disk: 0 },
        },
        { pod: 'b', address: '10.0.0.2:8000', matched_tokens: 8, hit_rate: 8 / 14, tiers: { gpu: 8, cpu: 0, disk: 0 } },
        { pod: 'a', address: '10.0.0.1:8000', matched_tokens: 0, hit_rate: 0, tiers: { gpu: 0, cpu: 0, disk: 0 } },
      ],
    });
  });

  it('never counts the last token, which an engine computes in any case', async () => {
    const a = holder();
    serve([a]);
    store(a, prompt(8));
    expect(matched(await ask({ token_ids: prompt(8) }))).toEqual([['a', 4]]);
    expect(matched(await ask({ token_ids: prompt(9) }))).toEqual([['a', 8]]);
    expect(matched(await ask({ token_ids: [] }))).toEqual([['a', 0]]);
  });

  it('has one row a pod: the best of its ranks, the nearer where they have as much', async () => {
    const [rank0, rank1, rank2] = [holder(), holder(), holder()];
    serve([rank0, rank1, rank2]);
    store(rank0, prompt(4));
    store(rank1, prompt(8), { tier: Tier.cpu });
    store(rank2, prompt(8));
    const { matches } = await ask({ token_ids: prompt(20) });
    expect(matches).toMatchObject([{ pod: 'a', matched_tokens: 8, tiers: { gpu: 8, cpu: 0, disk: 0 } }]);
  });

  it('tells tiers apart, each block by the nearest that has it', async () => {
    const a = holder();
    serve([a]);
    store(a, prompt(16), { tier: Tier.disk });
    store(a, prompt(12), { tier: Tier.cpu });
    store(a, prompt(4));
    const { matches } = await ask({ token_ids: prompt(20) });
    expect(matches).toMatchObject([{ matched_tokens: 16, tiers: { gpu: 4, cpu: 8, disk: 4 } }]);
  });

  it('asks each pod by the block size of its own engine, and says the most usual', async () => {
    const [a, b, c] = [holder(), holder(), holder()];
    serve([a], [b], [c]);
    for (const one of [a, b]) store(one, prompt(32));
    store(c, prompt(32), { size: 16 });
    const answer = await ask({ token_ids: prompt(30) });
    expect(answer.block_size).toBe(4);
    expect(matched(answer)).toEqual([
      ['a', 28],
      ['b', 28],
      ['c', 16],
    ]);
    expect(await ask({ token_ids: prompt(30), block_size: 16 })).toMatchObject({ block_size: 16 });
  });

  it('refuses a block size that no engine uses, once all have told theirs', async () => {
    const [a, b] = [holder(), holder()];
    serve([a], [b]);
    store(a, prompt(8));
    expect(await ask({ token_ids: prompt(8), block_size: 32 })).toMatchObject({ block_size: 32 });
    store(b, prompt(8));
    expect(await refusal({ token_ids: prompt(8), block_size: 32 })).toBe(
      'invalid_value block_size: block_size 32 is used by no engine of this model; used: 4',
    );
  });

  it('keeps salts and LoRA adapters apart', async () => {
    const a = holder();
    serve([a]);
    models.set('tuned', { pods: models.get('m')?.pods ?? [], lora: 'tuned' });
    store(a, prompt(8), { salt: 's' });
    const other = prompt(8, 100);
    store(a, other, { lora: 'tuned' });
    expect(matched(await ask({ token_ids: prompt(9) }))).toEqual([['a', 0]]);
    expect(matched(await ask({ token_ids: prompt(9), cache_salt: 's' }))).toEqual([['a', 8]]);
    expect(matched(await ask({ token_ids: [...other, 1] }))).toEqual([['a', 0]]);
    expect(matched(await ask({ model: 'tuned', token_ids: [...other, 1] }))).toEqual([['a', 8]]);
  });

  it.each<[string, readonly string[], readonly string[]]>([
    ['by address and by name', ['10.0.0.2:8000', 'c'], ['b', 'c']],
    ['one named twice once', ['b', '10.0.0.2:8000'], ['b']],
    ['unknown ones without a row', ['b', 'nobody', '10.9.9.9:1'], ['b']],
    ['none at all', [], []],
  ])('tells of candidates only: %s', async (_name, candidates, expected) => {
    serve([holder()], [holder()], [holder()]);
    expect((await ask({ token_ids: prompt(8), candidates })).matches.map(({ pod }) => pod)).toEqual(expected);
  });

  it('does not know a model that no pod serves, whoever is asked about', async () => {
    serve([holder()]);
    const told = 'model_not_found model: the model `x` does not exist; served are m, other';
    expect(await refusal({ model: 'x', token_ids: [] })).toBe(told);
    expect(await refusal({ model: 'x', token_ids: [], candidates: [] })).toBe(told);
  });

  it('has text tokenised, and says when nobody can', async () => {
    const a = holder();
    serve([a]);
    store(a, prompt(8));
    const messages = [{ role: 'user', content: 'secret' }];
    expect(await refusal({ messages })).toBe(
      'tokenizer_unavailable -: no engine of this model has tokenised the prompt; try again, or send token_ids',
    );
    tokenizer = (body) => Promise.resolve(Uint32Array.from(prompt(body.messages === undefined ? 0 : 9)));
    expect(matched(await ask({ messages }))).toEqual([['a', 8]]);
  });
});

describe('/kv-cache/hit-rate', () => {
  async function rates(tokens: number): Promise<unknown> {
    const body = Buffer.from(JSON.stringify({ model: 'm', token_ids: prompt(tokens) }));
    const answer = await answerHitRates(parseHitRateQuestion(body), knowledge);
    expect(Value.Check(hitRateAnswer, answer)).toBe(true);
    return answer.hit_rates.map(({ pod, l1, l3 }) => [pod, l1, l3]);
  }

  it('tells what is in a row in GPU memory, and on whatever tier', async () => {
    const [a, b, c, d] = [holder(), holder(), holder(), holder()];
    serve([a], [b, c], [d]);
    store(a, prompt(40), { tier: Tier.disk });
    store(a, prompt(12));
    store(b, prompt(8));
    store(c, prompt(20), { tier: Tier.cpu });
    expect(await rates(40)).toEqual([
      ['a', 12 / 40, 36 / 40],
      ['b', 8 / 40, 20 / 40],
      ['c', 0, 0],
    ]);
  });

  it.each([1, 2, 3, 7, 8, 9])('finds the end of the row wherever it is: after %i of 9 blocks', async (blocks) => {
    const a = holder();
    serve([a]);
    store(a, prompt(36), { tier: Tier.cpu });
    store(a, prompt(36), { upTo: blocks });
    expect(await rates(40)).toEqual([['a', (blocks * 4) / 40, 36 / 40]]);
  });

  it('counts only what is in a row: nothing behind a gap', async () => {
    const a = holder();
    serve([a]);
    store(a, prompt(36), { tier: Tier.cpu });
    store(a, prompt(36));
    // The engine's hash of the third block.
    index.removed(a, 1004, 1005, Tier.gpu);
    expect(await rates(40)).toEqual([['a', 8 / 40, 36 / 40]]);
  });
});
