import { describe, expect, test } from 'vitest';
import { Engine } from './engine.ts';
import { chatPrompt } from './http/generation.ts';
import { defaultServiceModel } from './service-model.ts';
import { conversations, sharedPrompts, trace, workloads, type Workload } from './workloads.ts';

/** The share of prompt tokens that one endless cache would hit, by the requests' own text. */
function idealHits(workload: Workload): number {
  const engine = new Engine({ ...defaultServiceModel, kvTokens: 16 * 1_000_000 });
  const listener = { progressed: () => undefined };
  for (const { messages } of workload.requests) {
    engine.submit({ prompt: chatPrompt(messages()), maxOutput: 0, listener }, 0);
    while (engine.due < Infinity) engine.advance(engine.due);
  }
  return engine.totals.hitTokens / engine.totals.queriedTokens;
}

const text = (workload: Workload, index: number): string =>
  workload.requests[index]
    .messages()
    .map(({ content }) => content)
    .join('');

describe('every workload', () => {
  test.each([...workloads.keys()])('%s: the same seed gives the same requests, another seed others', (name) => {
    const make = workloads.get(name) ?? sharedPrompts;
    const [a, b, c] = [make(1), make(1), make(2)];
    expect(a.name).toBe(name);
    for (const index of [0, 7, a.requests.length - 1]) {
      expect(text(a, index)).toBe(text(b, index));
      expect(text(a, index)).not.toBe(text(c, index));
    }
  });

  test.each([...workloads.keys()])('%s: prompts are ASCII and as long as they say, four bytes a token', (name) => {
    const workload = workloads.get(name)?.(3);
    for (const { messages, promptTokens } of workload?.requests.slice(0, 60) ?? []) {
      const content = messages()
        .map((message) => message.content)
        .join('');
      expect(content.length).toBe(promptTokens * 4);
      expect(/^[a-z ]*$/.test(content)).toBe(true);
    }
  });
});

test('shared prompts: 120 kinds of 8k tokens, 4 requests each, all with a question of their own', () => {
  const { requests } = sharedPrompts(1);
  const systems = new Map<string, number>();
  const questions = new Set<string>();
  for (const { messages, maxTokens, promptTokens } of requests) {
    const [system, user] = messages();
    systems.set(system.content, (systems.get(system.content) ?? 0) + 1);
    questions.add(user.content);
    expect([system.role, maxTokens, promptTokens]).toEqual(['system', 128, 8_224]);
  }
  expect([requests.length, questions.size]).toEqual([480, 480]);
  expect([...systems.values()]).toEqual(Array.from({ length: 120 }, () => 4));
});

test('shared prompts can be hit three times out of four', () => {
  expect(idealHits(sharedPrompts(1, 10))).toBeCloseTo(0.75, 1);
});

test('conversations: each turn starts after the one before and begins with all of its text', () => {
  const { requests } = conversations(1);
  const lengths = new Map<number, number>();
  requests.forEach(({ after, promptTokens, messages }, index) => {
    lengths.set(promptTokens, (lengths.get(promptTokens) ?? 0) + 1);
    if (after < 0) return;
    expect(after).toBeLessThan(index);
    const before = requests[after].messages();
    expect(messages().slice(0, before.length)).toEqual(before);
    expect(promptTokens - requests[after].promptTokens).toBe(1_024);
  });
  expect([...lengths]).toEqual(expect.arrayContaining([16_384, 17_408, 18_432, 19_456].map((length) => [length, 120])));
  // A turn has one successor at most.
  const predecessors = requests.map(({ after }) => after).filter((after) => after >= 0);
  expect(new Set(predecessors).size).toBe(360);
});

test('conversations can be hit by everything but the first turn and each turn’s news', () => {
  const fresh = 16_384 + 3 * 1_024;
  const all = 4 * 16_384 + 6 * 1_024;
  expect(idealHits(conversations(1, 5))).toBeCloseTo(1 - fresh / all, 2);
});

test('the trace keeps times, lengths up to 32k, and which prefixes are equal', () => {
  const { requests } = trace(1);
  expect(requests.length).toBe(300);
  const times = requests.map(({ at }) => at ?? NaN);
  expect(times).toEqual([...times].sort((a, b) => a - b));
  expect(times[299]).toBe(102);
  expect(requests[0]).toMatchObject({ promptTokens: 6_758, maxTokens: 500 });
  expect(Math.max(...requests.map(({ promptTokens }) => promptTokens))).toBe(32_768);
  // All share the first id; the first and the second request share nothing else.
  const [first, second] = [0, 1].map((index) => requests[index].messages()[0].content);
  expect(first.slice(0, 2_048)).toBe(second.slice(0, 2_048));
  expect(first.slice(2_048, 4_096)).not.toBe(second.slice(2_048, 4_096));
});
