import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import type { TokenMiss } from './contract.ts';
import { createLocalTokenizer } from './local-tokenizer.ts';
import { TokenMemory } from './memory.ts';
import { afterTest, assistant, chatQuery, folderWith, textQuery, tinyModel, user } from './tokens.fixture.ts';

interface Golden {
  readonly template: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly tokens: number[];
}
const golden = (
  JSON.parse(readFileSync(new URL('./testdata/golden.json', import.meta.url), 'utf8')) as Golden[]
).filter(({ template }) => template === 'tiny');

function local(folder: string, maxInFlight?: number) {
  const clock = new ManualClock();
  const misses: TokenMiss[] = [];
  const faults: Error[] = [];
  const waiters: (() => void)[] = [];
  const tokenizer = createLocalTokenizer({
    folder,
    clock,
    random: () => 0,
    onFault: (fault) => {
      faults.push(fault);
      for (const resolve of waiters) resolve();
    },
    memory: new TokenMemory(),
    timeout: 20,
    onMiss: (reason) => misses.push(reason),
    ...(maxInFlight === undefined ? {} : { maxInFlight }),
  });
  afterTest(() => tokenizer.close());
  const faulted = (): Promise<void> =>
    faults.length > 0 ? Promise.resolve() : new Promise((resolve) => waiters.push(resolve));
  return { tokenizer, clock, misses, faults, faulted };
}

describe('a local tokenizer', () => {
  it('gives from its thread the ids that an engine makes', async () => {
    const { tokenizer, misses, clock } = local(tinyModel);
    for (const { body, tokens } of golden) {
      const query = 'prompt' in body ? textQuery(body.prompt) : chatQuery([], body);
      const ids = await tokenizer.tokens(query);
      expect(ids === null ? null : [...ids]).toEqual(tokens);
    }
    expect(misses).toEqual([]);
    expect(tokenizer.counts.disagreed).toBe(0);
    for (let i = 0; clock.pending > 0 && i < 1000; i++) await new Promise((resolve) => setTimeout(resolve, 2));
    expect(clock.pending).toBe(0);
  });

  it('refuses what its template refuses, and goes on', async () => {
    const { tokenizer, misses } = local(folderWith("{{ raise_exception('no') if messages|length > 1 else 'fine' }}"));
    expect(await tokenizer.tokens(chatQuery([user('a'), assistant('b')]))).toBeNull();
    expect(misses).toEqual(['refused']);
    expect(await tokenizer.tokens(chatQuery([user('a')]))).not.toBeNull();
  });

  it('says why it cannot start, and is left alone after five attempts', async () => {
    const { tokenizer, misses, faults, faulted } = local('/nonexistent');
    await faulted();
    expect(faults[0].message).toContain('there is no tokenizer.json');
    for (let i = 0; i < 6; i++) expect(await tokenizer.tokens(textQuery(`prompt ${i}`))).toBeNull();
    expect(misses).toEqual([...Array<TokenMiss>(5).fill('unreachable'), 'breaker_open']);
  });

  it('ends a thread that a prompt has caught, and starts another', async () => {
    const endless =
      "{% if messages[0].content == 'loop' %}{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}{% endif %}x";
    const { tokenizer, clock, misses, faults } = local(folderWith(endless));
    expect(await tokenizer.tokens(chatQuery([user('hi')]))).not.toBeNull();
    for (let i = 0; clock.pending > 0 && i < 1000; i++) await new Promise((resolve) => setTimeout(resolve, 2));
    const caught = tokenizer.tokens(chatQuery([user('loop')]));
    clock.advance(20);
    expect(await caught).toBeNull();
    clock.advance(5000);
    expect(faults[0].message).toContain('has not answered for 5 s');
    expect(await tokenizer.tokens(chatQuery([user('hello')]))).not.toBeNull();
    expect(misses).toEqual(['timeout']);
  });

  it('takes no more questions than may wait', async () => {
    const { tokenizer, misses } = local(tinyModel, 4);
    const asked = Array.from({ length: 6 }, async (_, i) => tokenizer.tokens(textQuery(`prompt ${i}`)));
    await Promise.all(asked);
    expect(misses).toEqual(['too_many', 'too_many']);
  });

  it('tells those who wait when it is closed', async () => {
    const { tokenizer, misses, faults, clock } = local(tinyModel);
    const asked = tokenizer.tokens(textQuery('hi'));
    await tokenizer.close();
    expect(await asked).toBeNull();
    expect(misses).toEqual(['unreachable']);
    expect(faults).toEqual([]);
    expect(clock.pending).toBe(0);
  });
});
