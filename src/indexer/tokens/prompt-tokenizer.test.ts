import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readFileSync } from 'node:fs';
import type { Message } from './asked.ts';
import type { Outcome, Question, Renderer } from './contract.ts';
import { TokenMemory } from './memory.ts';
import {
  assistant,
  chatML,
  chatQuery,
  filesWith,
  InlineRenderer,
  settled,
  system,
  textQuery,
  tokenizerWith,
  user,
} from './tokens.fixture.ts';

const thinking = readFileSync(new URL('./testdata/thinking.jinja', import.meta.url), 'utf8');
const raise = "{{ raise_exception('roles must alternate') }}";
const templates = {
  chatML,
  thinking,
  // No special tokens between messages: what follows a message may change its last token.
  plain: "{% for m in messages %}{{ m.role + ': ' + m.content }} {% endfor %}{{ 'assistant: ' if add_generation_prompt }}",
  // Instructions go into the next message, and users and assistants must take turns.
  alternating:
    "{% for m in messages %}{% if m.role == 'system' %}{% if not loop.first %}" + raise + '{% endif %}' +
    "{% elif (m.role == 'user') != ((loop.index0 - (1 if messages[0].role == 'system' else 0)) % 2 == 0) %}" + raise +
    "{% else %}{{ '<|im_start|>' + m.role + '\\n' + (messages[0].content if loop.index0 == 1 and messages[0].role == 'system' else '') + m.content + '<|im_end|>' }}{% endif %}{% endfor %}" +
    "{{ '<|im_start|>assistant' if add_generation_prompt }}",
  // The number of messages stands in front of them.
  counting: '{{ messages|length }}' + chatML,
  // Answers but the last one are left out.
  forgetful:
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + ('...' if m.role == 'assistant' and loop.index < messages|length - 1 else m.content) + '<|im_end|>' }}{% endfor %}" +
    "{{ '<|im_start|>assistant' if add_generation_prompt }}",
} as const; // prettier-ignore

/** A tokenizer over a template, and what its whole renderings would be. */
function over(template: string, memory?: TokenMemory) {
  const renderer = new InlineRenderer(filesWith(template));
  const made = tokenizerWith(renderer, memory);
  const whole = (messages: readonly Message[], settings: Message = {}): number[] => [
    ...renderer.files.tokens({ messages, ...settings }),
  ];
  const tokens = async (messages: readonly Message[], settings?: Message): Promise<number[] | null> => {
    const ids = await made.tokenizer.tokens(chatQuery(messages, settings));
    await settled();
    return ids === null ? null : [...ids];
  };
  return { ...made, renderer, whole, tokens };
}

/** The requests of a chat: each has one more answer and question than the one before. */
function* turnsOf(first: readonly Message[], turns: number, label = ''): Generator<Message[]> {
  const messages = [...first];
  for (let turn = 0; turn < turns; turn++) {
    yield [...messages];
    messages.push(assistant(`answer ${turn} ${label}`), user(`question ${turn} ${label}`));
  }
}

describe('what costs nothing', () => {
  it('is a prompt of ids: they are the answer, at once', () => {
    const { tokenizer, renderer } = over(chatML);
    expect(tokenizer.tokens(textQuery([3, 1, 2]))).toEqual(Uint32Array.of(3, 1, 2));
    expect(renderer.asked).toEqual([]);
  });

  it('is a text that has been seen, at once', async () => {
    const { tokenizer, renderer } = over(chatML);
    const first = await tokenizer.tokens(textQuery('hello licence'));
    expect(first).toEqual(renderer.files.tokens({ prompt: 'hello licence' }));
    expect(tokenizer.tokens(textQuery(['hello licence']))).toBe(first);
    expect(renderer.asked).toHaveLength(1);
  });

  it('is a chat that has been seen, at once, by every setting that matters', async () => {
    const { tokenizer, renderer } = over(chatML);
    const variants: Message[] = [
      {},
      { add_generation_prompt: false },
      { chat_template_kwargs: { a: 1 } },
      { add_special_tokens: true },
      { tools: [{ type: 'function', function: { name: 'f' } }] },
    ];
    for (const settings of variants) await tokenizer.tokens(chatQuery([user('hi')], settings));
    await settled();
    expect(renderer.asked.filter(({ background }) => !background)).toHaveLength(variants.length);
    renderer.asked.length = 0;
    for (const settings of variants) {
      const ids = tokenizer.tokens(chatQuery([user('hi')], settings));
      expect(ids instanceof Uint32Array || settings.chat_template !== undefined || settings.add_special_tokens).toBe(
        true,
      );
    }
    expect(renderer.asked).toEqual([]);
  });

  it('is the second of two equal prompts that come at once', async () => {
    const { tokenizer, renderer } = over(chatML);
    const both = [tokenizer.tokens(textQuery('hi')), tokenizer.tokens(textQuery('hi'))];
    expect(await both[1]).toBe(await both[0]);
    expect(renderer.asked).toHaveLength(1);
  });
});

describe('what cannot be had', () => {
  it('is counted by its reason', async () => {
    const { tokenizer, misses, renderer, clock } = over(chatML);
    expect(tokenizer.tokens(textQuery(['a', 'b']))).toBeNull();
    renderer.miss = 'breaker_open';
    expect(await tokenizer.tokens(textQuery('a'))).toBeNull();
    expect(await tokenizer.tokens(chatQuery([user('a')]))).toBeNull();
    expect(misses).toEqual(['several_prompts', 'breaker_open', 'breaker_open']);
    expect(clock.pending).toBe(0);
  });

  it('is what is nested too deeply to be written out', () => {
    const { tokenizer, misses } = over(chatML);
    const depth = 200_000;
    const deep: unknown = JSON.parse(`${'{"1":'.repeat(depth)}1${'}'.repeat(depth)}`);
    expect(tokenizer.tokens(chatQuery([user('a')], { tools: [deep] }))).toBeNull();
    expect(misses).toEqual(['unsupported']);
  });

  it('is what does not come in time; it serves the next one that asks', async () => {
    let answer: (outcome: Outcome) => void = () => undefined;
    const renderer: Renderer = {
      ask: (_question: Question) => new Promise((resolve) => (answer = resolve)),
      close: () => Promise.resolve(),
    };
    const { tokenizer, clock, misses } = tokenizerWith(renderer);
    const asked = tokenizer.tokens(textQuery('a'));
    clock.advance(19);
    expect(misses).toEqual([]);
    clock.advance(1);
    expect(await asked).toBeNull();
    expect(misses).toEqual(['timeout']);
    expect(clock.pending).toBe(0);
    answer(Uint32Array.of(7));
    await settled();
    expect(tokenizer.tokens(textQuery('a'))).toEqual(Uint32Array.of(7));
    expect(misses).toEqual(['timeout']);
  });

  it('is counted once where the answer is late and no answer at all', async () => {
    let answer: (outcome: Outcome) => void = () => undefined;
    const renderer: Renderer = {
      ask: () => new Promise((resolve) => (answer = resolve)),
      close: () => Promise.resolve(),
    };
    const { tokenizer, clock, misses } = tokenizerWith(renderer);
    const asked = tokenizer.tokens(textQuery('a'));
    clock.advance(20);
    answer('unreachable');
    await asked;
    await settled();
    expect(misses).toEqual(['timeout']);
  });
});

describe('a chat that grows', () => {
  it('costs its last turn once the template has been proven', async () => {
    const { tokens, whole, renderer, tokenizer } = over(chatML);
    const long = 'Some words that make a turn long. '.repeat(10);
    const costs: number[] = [];
    for (const messages of turnsOf([system(long), user(long)], 30, long)) {
      const before = renderer.bytes;
      expect(await tokens(messages)).toEqual(whole(messages));
      costs.push(renderer.bytes - before);
    }
    const turn = JSON.stringify([assistant(`answer 10 ${long}`), user(`question 10 ${long}`)]).length;
    for (const cost of costs.slice(6)) expect(cost).toBeLessThan(turn + 100);
    expect(tokenizer.counts).toMatchObject({ whole: 5, composed: 25, disagreed: 0 });
  });

  it('costs its first question where another has had its instructions', async () => {
    const { tokens, whole, renderer } = over(chatML);
    const rules = system('The rules of the house. '.repeat(100));
    for (let i = 0; i < 5; i++) await tokens([rules, user(`question ${i}`)]);
    renderer.bytes = 0;
    const messages = [rules, user('another question')];
    expect(await tokens(messages)).toEqual(whole(messages));
    expect(renderer.bytes).toBeLessThan(200);
  });

  it('is asked for whole until three compositions behind an answer were right', async () => {
    const { tokens, tokenizer } = over(chatML);
    const composed: number[] = [];
    for (const messages of turnsOf([user('hi')], 6)) {
      await tokens(messages);
      composed.push(tokenizer.counts.composed);
    }
    expect(composed).toEqual([0, 0, 0, 0, 0, 1]);
  });

  it('proves tools apart from chats without', async () => {
    const { tokens, tokenizer, whole } = over(thinking);
    for (const messages of turnsOf([user('hi')], 6)) await tokens(messages);
    const before = tokenizer.counts.composed;
    const tools = [{ type: 'function', function: { name: 'f', description: 'd', parameters: {} } }];
    const composed: number[] = [];
    for (const messages of turnsOf([user('hi')], 6)) {
      expect(await tokens(messages, { tools })).toEqual(whole(messages, { tools }));
      composed.push(tokenizer.counts.composed - before);
    }
    expect(composed).toEqual([0, 0, 0, 0, 0, 1]);
  });

  it('goes on after an answer that its own memory has lost', async () => {
    const { tokens, whole } = over(chatML, new TokenMemory(2000));
    for (let chat = 0; chat < 8; chat++) {
      for (const messages of turnsOf([system(`s${chat}`), user('hi')], 8)) {
        expect(await tokens(messages)).toEqual(whole(messages));
      }
    }
  });

  const someText = fc.string({ unit: 'grapheme', maxLength: 12 });
  const step = fc.record({ chat: fc.nat(3), answer: someText, question: someText, again: fc.boolean() });
  const someSteps = fc.array(step, { minLength: 1, maxLength: 40 });

  it.each(Object.entries(templates))(
    'has the tokens of its whole rendering, whatever is remembered: %s',
    async (name, template) => {
      const lost = { wrong: 0, disagreed: 0 };
      await fc.assert(
        fc.asyncProperty(someSteps, async (steps) => {
          const { tokens, whole, tokenizer } = over(template);
          const chats = [[user('a')], [system('s'), user('b')], [system('s'), user('c')], [user('a')]];
          for (const { chat, answer, question, again } of steps) {
            const messages = chats[chat];
            if (!again) messages.push(assistant(answer), user(question));
            const got = await tokens([...messages]);
            if (JSON.stringify(got) !== JSON.stringify(whole(messages))) lost.wrong += 1;
          }
          lost.disagreed += tokenizer.counts.disagreed;
        }),
        { numRuns: 12 },
      );
      expect(lost.wrong).toBe(0);
      expect(lost.disagreed > 0).toBe(name === 'forgetful');
    },
    30_000,
  );

  it.each([
    ['forgetful', 1],
    ['counting', 0],
  ] as const)('is asked for whole for ever under a template that is %s', async (name, disagreed) => {
    const { tokens, whole, tokenizer, renderer } = over(templates[name]);
    for (let chat = 0; chat < 10; chat++) {
      for (const messages of turnsOf([user(`hi ${chat}`)], 6)) expect(await tokens(messages)).toEqual(whole(messages));
    }
    expect(tokenizer.counts).toMatchObject({ composed: 0, disagreed, whole: 60 });
    renderer.asked.length = 0;
    await tokens([user('new'), assistant('a'), user('b')]);
    expect(renderer.asked).toHaveLength(1);
  });

  it('is composed by a template that takes earlier thoughts away, as far as that holds', async () => {
    const { tokens, whole, tokenizer } = over(thinking);
    const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } };
    for (let chat = 0; chat < 6; chat++) {
      const messages: Message[] = [user(`hi ${chat}`)];
      for (let turn = 0; turn < 4; turn++) {
        expect(await tokens([...messages])).toEqual(whole(messages));
        messages.push({ role: 'assistant', content: '', reasoning: 'I look.', tool_calls: [call] });
        messages.push({ role: 'tool', content: 'found', tool_call_id: 'c' });
        expect(await tokens([...messages])).toEqual(whole(messages));
        messages.push(assistant('There.'), user('thanks'));
      }
    }
    expect(tokenizer.counts.disagreed).toBeGreaterThan(0);
  });

  it('is believed no longer than a sample holds: a day that is written anew costs one proof', async () => {
    const today = (day: string) => filesWith(`<|im_start|>${day}<|im_end|>${chatML}`);
    const { tokens, whole, tokenizer, renderer } = over('x');
    renderer.files = today('Monday');
    for (let chat = 0; chat < 4; chat++) for (const messages of turnsOf([user(`${chat}`)], 6)) await tokens(messages);
    expect(tokenizer.counts.disagreed).toBe(0);
    renderer.files = today('Tuesday');
    let wrong = 0;
    for (let chat = 0; chat < 30; chat++) {
      for (const messages of turnsOf([user(`${chat}`)], 6)) {
        if (JSON.stringify(await tokens(messages)) !== JSON.stringify(whole(messages))) wrong += 1;
      }
    }
    expect(wrong).toBeGreaterThan(0);
    expect(wrong).toBeLessThanOrEqual(50);
    expect(tokenizer.counts.disagreed).toBe(1);
    const { composed } = tokenizer.counts;
    for (const messages of turnsOf([user('new')], 3)) expect(await tokens(messages)).toEqual(whole(messages));
    expect(tokenizer.counts.composed).toBeGreaterThan(composed);
  });

  it.each(['grown', 'repeated'])(
    'that is %s is checked once in fifty times, should no anchor betray a new template',
    async (how) => {
      const signed = (name: string) =>
        filesWith(`{% if messages[0].role == 'system' %}<|im_start|>${name}<|im_end|>{% endif %}${chatML}`);
      const { tokens, whole, tokenizer, renderer } = over('x');
      renderer.files = signed('one');
      const first = [...turnsOf([system('s'), user('q')], 60)];
      for (const messages of first.slice(0, 8)) await tokens(messages);
      renderer.files = signed('two');
      let wrong = 0;
      for (let i = 8; i < 60; i++) {
        const messages = first[how === 'grown' ? i : 7];
        if (JSON.stringify(await tokens(messages)) !== JSON.stringify(whole(messages))) wrong += 1;
      }
      expect(wrong).toBeGreaterThan(40);
      expect(wrong).toBeLessThanOrEqual(50);
      expect(tokenizer.counts.disagreed).toBe(1);
    },
  );

  it('is not composed while the engine gives no anchors, and asks for them in vain three times only', async () => {
    const { tokens, renderer, tokenizer } = over(
      `{% if messages|length == 1 and messages[0].content == 'x' %}${raise}{% endif %}${chatML}`,
    );
    for (const messages of turnsOf([user('hi')], 8)) expect(await tokens(messages)).not.toBeNull();
    expect(tokenizer.counts).toMatchObject({ whole: 8, composed: 0 });
    expect(renderer.asked.filter(({ background }) => background)).toHaveLength(9);
  });

  it('is asked for whole where the engine refuses its last turn alone', async () => {
    const { tokens, whole, renderer, tokenizer } = over(chatML);
    for (const messages of turnsOf([user('hi')], 7)) await tokens(messages);
    renderer.files = filesWith(`{% if messages[0].content == 'x' %}${raise}{% endif %}${chatML}`);
    const messages = [...turnsOf([user('hi')], 8)][7];
    expect(await tokens(messages)).toEqual(whole(messages));
    expect(tokenizer.counts.whole).toBe(6);
  });
});
