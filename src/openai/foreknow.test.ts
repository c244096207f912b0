import { describe, expect, it } from 'vitest';
import { backend, endpoint, group, policy } from '../../test/fixtures/fleet.ts';
import { nothingForeknown, type LookupQuery, type PromptTokens } from '../router/foreknowledge.ts';
import { foreknow } from './foreknow.ts';
import type { Backend } from '../router/policy.ts';
import { parsePayload } from './payload.ts';

/** A backend whose manager answers this, and what it was asked. */
function managed(name: string, answer: ReadonlyMap<string, number> | null, rewriteModel: string | null = null) {
  const asked: LookupQuery[] = [];
  const managerLookup = (query: LookupQuery) => {
    asked.push(query);
    return Promise.resolve(answer);
  };
  const endpoints = [endpoint(0, { address: `${name}:1` }), endpoint(1, { address: `${name}:2` })];
  return { asked, backend: backend({ group: group({ name, endpoints, managerLookup }), rewriteModel }) };
}

/** A backend whose group makes tokens so, and what it was asked. */
function tokenised(name: string, made: PromptTokens | null, late: boolean) {
  const asked: LookupQuery[] = [];
  const tokenLookup = (query: LookupQuery) => {
    asked.push(query);
    return late ? Promise.resolve(made) : made;
  };
  return { asked, backend: backend({ group: group({ name, key: `ns/${name}`, tokenLookup }) }) };
}

const ask = (backends: readonly Backend[], json = '{"model":"m"}') =>
  foreknow(policy({ backends }), { model: 'm', path: '/v1/completions', payload: parsePayload(Buffer.from(json)) });
const tokens: PromptTokens = { ids: Uint32Array.of(1, 2), lora: '', salt: '' };

describe('what is found out before a decision', () => {
  it('is nothing, at once, where no group asks for anything', () => {
    expect(ask([backend()])).toBe(nothingForeknown);
  });

  it('is the answers of all managers together', async () => {
    const one = managed('a', new Map([['a:1', 0.5]]));
    const two = managed('b', new Map([['b:1', 1]]));
    const { managerHits } = await ask([one.backend, backend(), two.backend]);
    expect(managerHits).toEqual(new Map([['a:1', 0.5], ['b:1', 1]])); // prettier-ignore
  });

  it('is what the others say where one manager does not ask', async () => {
    const backends = [managed('a', null).backend, managed('b', new Map([['b:2', 0.25]])).backend];
    expect((await ask(backends)).managerHits).toEqual(new Map([['b:2', 0.25]]));
  });

  it('is asked for by the model and path that the engines know, for all endpoints', async () => {
    const plain = managed('a', null);
    const rewritten = managed('b', null, 'm-fp8');
    await ask([plain.backend, rewritten.backend]);
    expect(plain.asked).toMatchObject([{ model: 'm', path: '/v1/completions', candidates: ['a:1', 'a:2'] }]);
    expect(rewritten.asked).toMatchObject([{ model: 'm-fp8', candidates: ['b:1', 'b:2'] }]);
  });

  it.each(['{"prompt":"grüße €"}', '{"prompt":"gr\\u00fc\\u00dfe \\u20ac"}', '{"prompt":"gr\\u00fcße €"}'])(
    'is asked for with the text itself of %s',
    async (json) => {
      const one = managed('a', null);
      await ask([one.backend], json);
      expect(one.asked[0].body).toEqual({ prompt: 'grüße €' });
    },
  );

  it('is there at once where tokens are', () => {
    expect(ask([tokenised('a', tokens, false).backend])).toMatchObject({ tokens: new Map([['ns/a', tokens]]) });
  });

  it('keeps the tokens of each group apart, early or late, and passes over those that cannot be had', async () => {
    const backends = [
      tokenised('a', tokens, true),
      tokenised('b', { ...tokens, lora: 'x' }, false),
      tokenised('c', null, true),
    ];
    const { tokens: found, managerHits } = await ask(backends.map((one) => one.backend));
    expect(found).toEqual(new Map([['ns/a', tokens], ['ns/b', { ...tokens, lora: 'x' }]])); // prettier-ignore
    expect(managerHits).toBeNull();
  });
});
