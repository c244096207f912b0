import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PolicyReport } from '../../observability/replica-report.ts';
import { notYetDated } from '../claims.ts';
import { met, unmet } from '../conditions.ts';
import { silentView } from '../peers/replica-view.ts';
import type { GroupFacts } from './group-status.ts';
import type { PolicyFacts } from './policy-status.ts';
import { groupFacts, groupFigures, member, noon, policyFacts, replica, score, validGroupStatus, validPolicyStatus } from './status.fixture.ts'; // prettier-ignore
import { changeOf, worthWriting } from './worth-writing.ts';

const busy: Partial<PolicyReport> = {
  requestsPerMinute: 600,
  errorsPerMinute: 20,
  prefixHitPercent: 50,
  ttftP50Milliseconds: 100,
  ttftP90Milliseconds: 300,
  scores: [score('e0', 300, 2), score('e1', 300, 2)],
};
const one = (fields: Partial<PolicyReport>): Partial<PolicyFacts> => ({
  replicas: [replica('r', { ...busy, ...fields })],
});

function policyChange(before: Partial<PolicyFacts>, after: Partial<PolicyFacts>) {
  const previous = validPolicyStatus(policyFacts(before));
  return changeOf(previous, validPolicyStatus(policyFacts({ previous, now: noon + 45_000, ...after })));
}

const claiming = (...since: [string, number][]): Partial<PolicyFacts> => ({ claimedSince: new Map(since) });

describe('a change of a policy', () => {
  const cases: [string, Partial<PolicyFacts>, Partial<PolicyFacts>, string][] = [
    ['of nothing but time is none', one({}), one({}), 'none'],
    ['of a condition is meaning', {}, { conditions: [met('Accepted', 'the policy is valid'), unmet('ResolvedRefs', 'BackendGroupNotFound', 'x')] }, 'meaning'],
    ['of a message is meaning', {}, { conditions: [met('Accepted', 'in other words'), met('ResolvedRefs', 'every backend exists')] }, 'meaning'],
    ['of the generation is meaning', {}, { generation: 2, inForce: 2, replicas: [replica('r', { generation: 2 })] }, 'meaning'],
    ['of the number of replicas that run it is meaning', {}, { replicas: [replica('r'), replica('s')] }, 'meaning'],
    ['of a replica that falls silent is meaning', { replicas: [replica('r'), replica('s')] }, { replicas: [replica('r'), silentView('s')] }, 'meaning'],
    ['of the profile is meaning', {}, { effectiveProfile: 'another' }, 'meaning'],
    ['of weights is meaning', {}, { backends: [{ name: 'g', weight: 1 }, { name: 'h', weight: 1 }] }, 'meaning'],
    ['of a name that is claimed is meaning', claiming(['m', 0]), claiming(['m', 0], ['n', noon]), 'meaning'],
    ['of a name that is claimed no more is meaning', claiming(['m', 0], ['n', 0]), claiming(['m', 0]), 'meaning'],
    ['of another name in its place is meaning', claiming(['m', 0]), claiming(['n', 0]), 'meaning'],
    ['to an earlier claim is meaning', claiming(['m', noon]), claiming(['m', 0]), 'meaning'],
    ['of the time at which a claim has no date yet is none', claiming(['m', notYetDated]), claiming(['m', notYetDated]), 'none'],
    ['of a policy that is not in force for now is none of its claims', claiming(['m', 0]), { claimedSince: undefined }, 'none'],
    ['of requests by a tenth is none', one({}), one({ requestsPerMinute: 660 }), 'none'],
    ['of requests by more is figures', one({}), one({ requestsPerMinute: 661 }), 'figures'],
    ['of requests to less is figures', one({}), one({ requestsPerMinute: 539 }), 'figures'],
    ['of few requests is none', one({ requestsPerMinute: 1 }), one({ requestsPerMinute: 6 }), 'none'],
    ['to no request is figures, so that no trickle is shown for ever', one({ requestsPerMinute: 1, errorsPerMinute: 0 }), { replicas: [replica('r')] }, 'figures'],
    ['from none to one request is none, whatever that one was like', { replicas: [replica('r')] }, one({ requestsPerMinute: 1, errorsPerMinute: 1, scores: [score('e0', 1)] }), 'none'],
    ['from none to a few is figures', { replicas: [replica('r')] }, one({ requestsPerMinute: 6, errorsPerMinute: 0 }), 'figures'],
    ['of errors is figures', one({}), one({ errorsPerMinute: 25 }), 'figures'],
    ['of an error or two is none', one({ errorsPerMinute: 0 }), one({ errorsPerMinute: 2 }), 'none'],
    ['of the hit rate is figures', one({}), one({ prefixHitPercent: 56 }), 'figures'],
    ['of the hit rate by little is none', one({ prefixHitPercent: 10 }), one({ prefixHitPercent: 14 }), 'none'],
    ['of times is figures', one({}), one({ ttftP90Milliseconds: 340 }), 'figures'],
    ['of short times is none', one({ ttftP50Milliseconds: 10 }), one({ ttftP50Milliseconds: 19 }), 'none'],
    ['of a score is figures', one({}), one({ scores: [score('e0', 300, 3), score('e1', 300, 2)] }), 'figures'],
    ['of a score by little is none', one({}), one({ scores: [score('e0', 300, 2.1), score('e1', 300, 2)] }), 'none'],
    ['of shares is figures', one({}), one({ scores: [score('e0', 400, 2), score('e1', 200, 2)] }), 'figures'],
    ['of who is busiest is none', one({}), one({ scores: [score('e0', 299, 2), score('e1', 301, 2)] }), 'none'],
    ['of the endpoints scored is figures', one({}), one({ scores: [score('e0', 300, 2), score('e2', 300, 2)] }), 'figures'],
  ]; // prettier-ignore
  it.each(cases)('%s', (_name, before, after, wanted) => {
    expect(policyChange(before, after)).toBe(wanted);
  });

  it('from what no router wrote is meaning', () => {
    expect(changeOf(undefined, validPolicyStatus(policyFacts()))).toBe('meaning');
    expect(changeOf({}, validPolicyStatus(policyFacts()))).toBe('meaning');
  });

  it('is none where somebody else added a condition of another type', () => {
    const status = validPolicyStatus(policyFacts());
    const foreign = { type: 'Audited', status: 'True' as const, reason: 'Yes', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' }; // prettier-ignore
    expect(changeOf({ ...status, conditions: [foreign, ...(status.conditions ?? [])] }, status)).toBe('none');
  });
});

describe('a change of a group', () => {
  const change = (before: Partial<GroupFacts>, after: Partial<GroupFacts>) => {
    const previous = validGroupStatus(groupFacts(before));
    return changeOf(previous, validGroupStatus(groupFacts({ previous, now: noon + 45_000, ...after })));
  };
  const figures = (kvCachePercent: number | null) => ({ figures: groupFigures({ kvCachePercent }) });
  const cases: [string, Partial<GroupFacts>, Partial<GroupFacts>, string][] = [
    ['of nothing but time is none', {}, {}, 'none'],
    ['of ready endpoints is meaning', {}, { figures: groupFigures({ total: 2 }) }, 'meaning'],
    ['of a member is meaning', {}, { members: [member('e0', { ready: false, reason: 'Ejected' })] }, 'meaning'],
    ['of a model is meaning', {}, { models: [{ name: 'n', source: 'Learned' }] }, 'meaning'],
    ['of the order of members is none', { members: [member('a'), member('b')] }, { members: [member('b'), member('a')] }, 'none'],
    ['of staleness is meaning', {}, { members: [member('e0', { staleSince: noon })] }, 'meaning'],
    ['of cache use is figures', {}, figures(46), 'figures'],
    ['of cache use by little is none', figures(4), figures(8), 'none'],
    ['of cache use to nothing is figures', figures(1), figures(0), 'figures'],
    ['of cache use from nothing to little is none', figures(0), figures(4), 'none'],
    ['of cache use that is no longer known is figures', {}, figures(null), 'figures'],
  ]; // prettier-ignore
  it.each(cases)('%s', (_name, before, after, wanted) => {
    expect(change(before, after)).toBe(wanted);
  });
});

describe('worthWriting', () => {
  const before = validPolicyStatus(policyFacts(one({})));
  const figures = validPolicyStatus(policyFacts(one({ requestsPerMinute: 1000 })));
  const meaning = validPolicyStatus(policyFacts({ ...one({}), effectiveProfile: 'another' }));
  const cases: [string, typeof before, number, string][] = [
    ['lets figures wait for the interval', figures, 29_999, 'none'],
    ['takes figures after it', figures, 30_000, 'figures'],
    ['takes meaning at once', meaning, 0, 'meaning'],
    ['takes nothing however long it waits', before, 1e9, 'none'],
  ];
  it.each(cases)('%s', (_name, next, since, wanted) => {
    expect(worthWriting(before, next, since, 30_000)).toBe(wanted);
  });

  it('settles: figures that end at a value are written a few times and no more', () => {
    const figure = fc.integer({ min: 0, max: 2000 });
    fc.assert(
      fc.property(fc.array(figure, { maxLength: 20 }), figure, (course, end) => {
        let shown = before;
        for (const requestsPerMinute of course) {
          const next = validPolicyStatus(policyFacts(one({ requestsPerMinute })));
          if (changeOf(shown, next) !== 'none') shown = next;
        }
        const last = validPolicyStatus(policyFacts(one({ requestsPerMinute: end })));
        if (changeOf(shown, last) !== 'none') shown = last;
        expect(changeOf(shown, last)).toBe('none');
      }),
      { numRuns: 100 },
    );
  });

  it('does not write for noise about nothing: a request now and then', () => {
    const idle = validPolicyStatus(policyFacts());
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 60 }), (minutes) => {
        for (const requestsPerMinute of minutes) {
          const trickle = { ...busy, requestsPerMinute, errorsPerMinute: 0 };
          const next = validPolicyStatus(policyFacts({ replicas: [replica('r', requestsPerMinute === 0 ? {} : trickle)] })); // prettier-ignore
          expect(changeOf(idle, next)).toBe('none');
        }
      }),
      { numRuns: 30 },
    );
  });
});
