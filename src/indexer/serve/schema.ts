import { Type, type TProperties } from 'typebox';

// For readers and for tests: `question.ts` reads bodies by hand, because a list of a million token ids is checked and
// flattened in one go. A test keeps the two of one mind.

const model = Type.String({ minLength: 1, maxLength: 1024, description: 'Name of a model or of a LoRA adapter.' });
const share = (description: string) => Type.Number({ minimum: 0, maximum: 1, description });
const amount = (description: string) => Type.Integer({ minimum: 0, description });

const tokenIds = Type.Array(Type.Integer({ minimum: 0, maximum: 0xffff_ffff }), {
  description: 'The prompt as token ids of the model, special tokens included.',
});

const shared = {
  model,
  block_size: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      description:
        'Tokens in a KV block. Each pod is looked up by the size that its own engine uses; a size that no engine of ' +
        'the model uses is refused.',
    }),
  ),
  cache_salt: Type.Optional(
    Type.String({ maxLength: 1024, description: 'Salt of the request: blocks of another salt are no hits.' }),
  ),
  candidates: Type.Optional(
    Type.Array(Type.String({ maxLength: 1024 }), {
      maxItems: 4096,
      description:
        'Pods to tell of, each as `ip:port` or by its name. Left out: every pod that serves the model. One that does ' +
        'not serve it has no row; an empty list gets none.',
    }),
  ),
};

const question = (prompt: TProperties, description: string) => Type.Object({ ...shared, ...prompt }, { description });

/** The three bodies of `POST /match_sort`; a body is exactly one of them. */
export const matchSortQuestions = {
  MatchSortByText: question(
    { prompt: Type.String({ description: 'Text of a completion.' }) },
    'Text, which an engine of the model tokenises as for `/v1/completions`.',
  ),
  MatchSortByMessages: question(
    {
      messages: Type.Array(Type.Object({}, { additionalProperties: true }), {
        minItems: 1,
        description: 'Messages of a chat.',
      }),
      tools: Type.Optional(
        Type.Array(Type.Unknown(), { description: 'Tools of the chat: they are part of its prompt.' }),
      ),
    },
    'A chat, to which an engine of the model applies its template.',
  ),
  MatchSortByTokens: question({ token_ids: tokenIds }, 'Token ids, for which no engine is asked.'),
} as const;

/** The body of `POST /kv-cache/hit-rate`. */
export const hitRateQuestion = question({ token_ids: tokenIds }, 'Token ids of a prompt.');

const pod = Type.String({ description: 'Name of the pod, or of the endpoint where engines are listed by hand.' });
const address = Type.String({ description: 'Where its engine serves requests: `ip:port`.' });

const matchRow = Type.Object(
  {
    pod,
    address,
    matched_tokens: amount(
      'Tokens of the prompt that its engine need not compute: whole blocks in a row from the start, never the last token.',
    ),
    hit_rate: share('`matched_tokens` in all tokens of the prompt.'),
    tiers: Type.Object(
      {
        gpu: amount('Tokens of those in GPU memory.'),
        cpu: amount('Tokens of those in host memory and not in GPU memory.'),
        disk: amount('Tokens of those on disk only.'),
      },
      { description: 'Where the matched tokens lie; they add up to `matched_tokens`.' },
    ),
  },
  { description: 'One pod, the best of its data-parallel ranks.' },
);

export const matchSortAnswer = Type.Object(
  {
    model,
    block_size: amount('As asked, else as most engines of the model have it; 0 while none has told.'),
    tokens: amount('Tokens in the prompt.'),
    matches: Type.Array(matchRow, { description: 'Highest `hit_rate` first; equal ones in the order of their names.' }),
  },
  { description: 'Who has how much of the prompt.' },
);

export const hitRateAnswer = Type.Object(
  {
    hit_rates: Type.Array(
      Type.Object(
        {
          pod,
          address,
          l1: share('Share of the prompt in a row from its start in GPU memory.'),
          l3: share('The same on whatever tier: GPU memory, host memory or disk.'),
        },
        { description: 'One pod, the best of its data-parallel ranks.' },
      ),
      { description: 'In the order of their names.' },
    ),
  },
  { description: 'Which share of the prompt each pod has in a row.' },
);

export const errorAnswer = Type.Object(
  {
    error: Type.Object({
      message: Type.String({ description: 'What is wrong and what to do about it.' }),
      type: Type.String(),
      code: Type.String(),
      param: Type.Union([Type.String(), Type.Null()], { description: 'The field at fault.' }),
    }),
  },
  { description: "OpenAI's error object." },
);
