import { describe, expect, it } from 'vitest';
import { backend, endpoint, group, policy } from '../../test/fixtures/fleet.ts';
import type { ManagerQuery } from '../router/policy.ts';
import { askManagers } from './manager-hits.ts';
import { parsePayload } from './payload.ts';

/** A backend whose manager answers this, and what it was asked. */
function managed(name: string, answer: ReadonlyMap<string, number> | null, rewriteModel: string | null = null) {
  const asked: ManagerQuery[] = [];
  const managerLookup = (query: ManagerQuery) => {
    asked.push(query);
    return Promise.resolve(answer);
  };
  const endpoints = [endpoint(0, { address: `${name}:1` }), endpoint(1, { address: `${name}:2` })];
  return { asked, backend: backend({ group: group({ name, endpoints, managerLookup }), rewriteModel }) };
}

const payload = (json: string) => parsePayload(Buffer.from(json));

describe('askManagers', () => {
  it('asks nobody where no group has a manager', () => {
    expect(askManagers(policy({ backends: [backend()] }), 'm', payload('{}'))).toBeNull();
  });

  it('puts the answers of all managers together', async () => {
    const one = managed('a', new Map([['a:1', 0.5]]));
    const two = managed('b', new Map([['b:1', 1]]));
    const backends = [one.backend, backend(), two.backend];
    expect(await askManagers(policy({ backends }), 'm', payload('{}'))).toEqual(new Map([['a:1', 0.5], ['b:1', 1]])); // prettier-ignore
  });

  it('goes on with what the others say where one does not ask', async () => {
    const backends = [managed('a', null).backend, managed('b', new Map([['b:2', 0.25]])).backend];
    expect(await askManagers(policy({ backends }), 'm', payload('{}'))).toEqual(new Map([['b:2', 0.25]]));
  });

  it('names the model that the engines know, and the endpoints', async () => {
    const plain = managed('a', null);
    const rewritten = managed('b', null, 'm-fp8');
    await askManagers(policy({ backends: [plain.backend, rewritten.backend] }), 'm', payload('{"model":"m"}'));
    expect(plain.asked).toMatchObject([{ model: 'm', candidates: ['a:1', 'a:2'] }]);
    expect(rewritten.asked).toMatchObject([{ model: 'm-fp8', candidates: ['b:1', 'b:2'] }]);
  });

  it.each(['{"prompt":"grüße €"}', '{"prompt":"gr\\u00fc\\u00dfe \\u20ac"}', '{"prompt":"gr\\u00fcße €"}'])(
    'hands on the text itself of %s',
    async (json) => {
      const one = managed('a', null);
      await askManagers(policy({ backends: [one.backend] }), 'm', payload(json));
      expect(one.asked[0].body).toEqual({ prompt: 'grüße €' });
    },
  );
});
