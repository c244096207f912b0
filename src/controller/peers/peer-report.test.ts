import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { report, score } from '../status/status.fixture.ts';
import { readReport, ReportFault } from './peer-report.ts';

const good = { replica: 'r0', ready: true, policies: [report({ scores: [score('e0', 3)] })] };

describe('readReport', () => {
  it('reads what a replica tells', () => {
    expect(readReport(JSON.stringify(good))).toEqual(good);
  });

  it('passes over fields of newer versions', () => {
    const newer = { ...good, policies: [{ ...good.policies[0], invented: 1 }], more: {} };
    expect(readReport(JSON.stringify(newer))).toEqual(good);
  });

  const policy = (fields: object) => ({ ...good, policies: [{ ...good.policies[0], ...fields }] });
  const rubbish: [string, unknown, RegExp][] = [
    ['a list', [], /no object/],
    ['null', null, /no object/],
    ['no name', { ...good, replica: '' }, /replica/],
    ['a name of great length', { ...good, replica: 'x'.repeat(254) }, /replica/],
    ['readiness as a word', { ...good, ready: 'yes' }, /ready/],
    ['policies that are no list', { ...good, policies: {} }, /policies/],
    ['a policy that is a number', { ...good, policies: [7] }, /a policy is no object/],
    ['a generation below 0', policy({ generation: -1 }), /generation/],
    ['a generation as text', policy({ generation: '1' }), /generation/],
    ['a missing figure', policy({ requestsPerMinute: undefined }), /requestsPerMinute/],
    ['a figure without measure', policy({ requestsPerMinute: 1e300 }), /requestsPerMinute/],
    ['no scores', policy({ scores: null }), /scores/],
    ['more scores than there can be', policy({ scores: new Array(4097).fill(score('e', 1)) }), /scores/],
    ['a score that is null', policy({ scores: [{ ...score('e', 1), score: null }] }), /score/],
    ['a part of great length', policy({ scores: [{ ...score('e', 1), breakdown: [{ scorer: 'x'.repeat(254), value: 1, weight: 1 }] }] }), /scorer/],
    ['more parts than there can be', policy({ scores: [{ ...score('e', 1), breakdown: new Array(17).fill({ scorer: 's', value: 1, weight: 1 }) }] }), /breakdown/],
  ]; // prettier-ignore
  it.each(rubbish)('refuses %s', (_name, value, message) => {
    expect(() => readReport(JSON.stringify(value))).toThrow(message);
  });

  it.each(['', '{', '<html>', '{"replica":"r","ready":true,"policies":[]} x'])(
    'refuses what is no JSON: %s',
    (text) => {
      expect(() => readReport(text)).toThrow(ReportFault);
    },
  );

  it('refuses infinity as JSON can write it', () => {
    const text = JSON.stringify(good).replace('"requestsPerMinute":0', '"requestsPerMinute":1e999');
    expect(() => readReport(text)).toThrow(/requestsPerMinute/);
  });

  it('ends in a report or a ReportFault, whatever it is given', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        try {
          expect(readReport(text)).toHaveProperty('policies');
        } catch (error) {
          expect(error).toBeInstanceOf(ReportFault);
        }
      }),
    );
  });
});
