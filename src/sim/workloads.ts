import { readFileSync } from 'node:fs';
import { mix } from './mix.ts';
import { createRandom, randomText, shuffle } from './random.ts';

/** One message of a chat request. */
export interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** One request of a workload; its text is made when it is sent, so that a workload holds no prompts. */
export interface WorkloadRequest {
  /** Prompt length in tokens, without the chat template's few. */
  readonly promptTokens: number;
  readonly maxTokens: number;
  /** Index of the request that must have ended before this one starts; -1 for none. */
  readonly after: number;
  /** Engine seconds after the start of the run; null: as soon as the concurrency allows. */
  readonly at: number | null;
  readonly messages: () => Message[];
}

export interface Workload {
  readonly name: string;
  readonly title: string;
  /** In the order of their start. */
  readonly requests: readonly WorkloadRequest[];
}

/** How a workload's text differs from another's of the same kind and seed. */
const salts = { shared: 1, sharedUser: 2, turns: 3, turnOrder: 4, trace: 5 } as const;

/** One seed out of a run's seed, a part of the workload and a number within it. */
function seedFor(seed: number, salt: number, number: number): number {
  return mix(mix(seed ^ Math.imul(salt, 0x9e3779b1)) + number);
}

/** 480 requests: 120 system prompts of 8k tokens, 4 requests each in shuffled order, each with a short question of its own. */
export function sharedPrompts(seed: number, kinds = 120, repeats = 4): Workload {
  const systemTokens = 8_192;
  const userTokens = 32;
  const order = Array.from({ length: kinds * repeats }, (_, i) => i % kinds);
  const requests = shuffle(order, createRandom(seedFor(seed, salts.shared, 0))).map((kind, i) => ({
    promptTokens: systemTokens + userTokens,
    maxTokens: 128,
    after: -1,
    at: null,
    messages: (): Message[] => [
      { role: 'system', content: randomText(seedFor(seed, salts.shared, kind + 1), systemTokens) },
      { role: 'user', content: randomText(seedFor(seed, salts.sharedUser, i), userTokens) },
    ],
  }));
  return { name: 'shared-prompts', title: `${kinds} system prompts of 8k tokens x ${repeats}`, requests };
}

/**
 * 120 users with 4 turns each: 16k tokens in the first, 1k more in each further one, which starts after the one before has
 * ended; users come in shuffled order. Of the 1k, 128 tokens are the answer before as the client repeats it.
 */
export function conversations(seed: number, users = 120, turns = 4): Workload {
  const order = Array.from({ length: users * turns }, (_, i) => i % users);
  const last = new Map<number, { index: number; turn: number }>();
  const requests = shuffle(order, createRandom(seedFor(seed, salts.turnOrder, 0))).map((user, index) => {
    const before = last.get(user);
    const turn = before === undefined ? 0 : before.turn + 1;
    last.set(user, { index, turn });
    return {
      promptTokens: firstTurnTokens + turn * laterTurnTokens,
      maxTokens: answerTokens,
      after: before?.index ?? -1,
      at: null,
      messages: () => conversation(seedFor(seed, salts.turns, user), turn),
    };
  });
  return { name: 'conversations', title: `${users} users x ${turns} turns, 16k tokens + 1k a turn`, requests };
}

const firstTurnTokens = 16_384;
const laterTurnTokens = 1_024;
const answerTokens = 128;

function conversation(userSeed: number, turn: number): Message[] {
  const messages: Message[] = [{ role: 'user', content: randomText(userSeed, firstTurnTokens) }];
  for (let past = 1; past <= turn; past++) {
    const answer = randomText(mix(userSeed + 2 * past), answerTokens);
    const question = randomText(mix(userSeed + 2 * past + 1), laterTurnTokens - answerTokens);
    messages.push({ role: 'assistant', content: answer }, { role: 'user', content: question });
  }
  return messages;
}

const traceFile = new URL('./data/mooncake-conversation.jsonl', import.meta.url);
const traceBlockTokens = 512;
const longestTracePrompt = 32_768;

/** A line of the Mooncake trace: milliseconds, tokens, and one id for each 512 tokens of prompt. */
interface TraceLine {
  readonly timestamp: number;
  readonly input_length: number;
  readonly output_length: number;
  readonly hash_ids: readonly number[];
}

/** Thrown for a trace file with a line that is none. */
export class TraceError extends Error {
  override readonly name = 'TraceError';
}

/**
 * The first 300 requests of the Mooncake conversation trace (Kimi, FAST'25; Apache-2.0) at their recorded times, prompts capped
 * at 32k tokens: equal ids give equal text, so prefixes are shared as they were.
 */
export function trace(seed: number, limit = Infinity): Workload {
  const lines = readFileSync(traceFile, 'utf8').trimEnd().split('\n').slice(0, limit);
  const requests = lines.map((text, i) => traceRequest(seed, parseTraceLine(text, i + 1)));
  return { name: 'trace', title: `${requests.length} requests of the Mooncake conversation trace`, requests };
}

function traceRequest(seed: number, line: TraceLine): WorkloadRequest {
  const promptTokens = Math.min(line.input_length, longestTracePrompt);
  return {
    promptTokens,
    maxTokens: line.output_length,
    after: -1,
    at: line.timestamp / 1000,
    messages: () => {
      const blocks = line.hash_ids.slice(0, Math.ceil(promptTokens / traceBlockTokens));
      const text = blocks.map((id) => randomText(seedFor(seed, salts.trace, id), traceBlockTokens)).join('');
      return [{ role: 'user', content: text.slice(0, promptTokens * 4) }];
    },
  };
}

function parseTraceLine(text: string, number: number): TraceLine {
  const value: unknown = JSON.parse(text);
  if (!isTraceLine(value)) throw new TraceError(`${traceFile.pathname}:${number} is not a line of a Mooncake trace`);
  return value;
}

function isTraceLine(value: unknown): value is TraceLine {
  if (typeof value !== 'object' || value === null || !('hash_ids' in value) || !Array.isArray(value.hash_ids))
    return false;
  return ['timestamp', 'input_length', 'output_length'].every(
    (name) => typeof Object.entries(value).find(([key]) => key === name)?.[1] === 'number',
  );
}

/** The workloads of the demo, by name. */
export const workloads: ReadonlyMap<string, (seed: number) => Workload> = new Map([
  ['shared-prompts', (seed: number) => sharedPrompts(seed)],
  ['conversations', (seed: number) => conversations(seed)],
  ['trace', (seed: number) => trace(seed)],
]);
