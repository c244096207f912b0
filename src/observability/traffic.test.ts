import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { RequestResult } from './telemetry.ts';
import { Traffic, type PolicyStats } from './traffic.ts';
import { Window } from './window.ts';

const minute = 60_000;
let time: number;
let traffic: Traffic;

beforeEach(() => {
  time = 1_000_000;
  traffic = new Traffic(() => time);
});

const result = (over: Partial<RequestResult> = {}): RequestResult => ({
  group: 'g', status: 200, broken: false, duration: 1000, timeToFirstToken: 100, decisionMicroseconds: 20,
  estimatedTokens: 100, estimatedCached: 40, promptTokens: -1, completionTokens: -1, cachedTokens: -1, ...over,
}); // prettier-ignore

function finish(over: Partial<RequestResult> = {}, policy = 'ns/p'): void {
  const telemetry = traffic.policy(policy);
  telemetry.started();
  telemetry.finished(result(over));
}

function stats(policy = 'ns/p'): PolicyStats {
  const found = traffic.stats().find((one) => one.policy === policy);
  if (found === undefined) throw new Error(`no stats of ${policy}`);
  return found;
}

/** Values of one metric by its labels. */
function samples(name: string): Record<string, number> {
  const family = traffic.families().find((one) => one.name === name);
  return Object.fromEntries(
    family
      ?.samples()
      .map(({ metricName, labels, value }) => [
        `${metricName === name ? '' : metricName.slice(name.length)}${Object.values(labels).join(' ')}`,
        value,
      ]) ?? [],
  );
}

describe('Traffic, of the last minute', () => {
  it('counts requests and errors, of which a client that left is none, and forgets them', () => {
    for (const status of [200, 404, 500, 503]) finish({ status });
    finish({ broken: true });
    finish({ status: 499, broken: true });
    expect(stats()).toMatchObject({ windowSeconds: 60, requestsPerMinute: 6, errorsPerMinute: 3 });
    time += minute;
    expect(stats()).toMatchObject({ requestsPerMinute: 0, errorsPerMinute: 0 });
  });

  const ranks: [string, number[], number, number][] = [
    ['nothing', [], 0, 0],
    ['one time', [7], 7, 7],
    ['two times', [10, 20], 10, 20],
    ['ten times, in any order', [100, 20, 30, 40, 50, 60, 70, 80, 90, 10], 50, 90],
    ['fractions', [1.4, 1.6], 1, 2],
  ];
  it.each(ranks)('tells percentiles of %s', (_name, times, p50, p90) => {
    traffic.policy('ns/p');
    for (const timeToFirstToken of times) finish({ timeToFirstToken });
    expect(stats()).toMatchObject({ ttftP50Milliseconds: p50, ttftP90Milliseconds: p90 });
  });

  it('has no first-token times of earlier', () => {
    finish({ timeToFirstToken: 1000 });
    time += minute;
    expect(stats()).toMatchObject({ ttftP50Milliseconds: 0, ttftP90Milliseconds: 0 });
    finish({ timeToFirstToken: 5 });
    expect(stats()).toMatchObject({ ttftP50Milliseconds: 5, ttftP90Milliseconds: 5 });
  });

  it('has none of requests without a first byte', () => {
    finish({ timeToFirstToken: -1 });
    expect(stats().ttftP50Milliseconds).toBe(0);
  });

  it('knows the latest of very many', () => {
    for (let i = 0; i < 2000; i++) finish({ timeToFirstToken: i < 1000 ? 1 : 9 });
    expect(stats()).toMatchObject({ ttftP50Milliseconds: 9, requestsPerMinute: 2000 });
  });

  it('tells the predicted share of cached tokens until engines tell the real one', () => {
    finish({ estimatedTokens: 100, estimatedCached: 40 });
    expect(stats().prefixHitPercent).toBe(40);
    finish({ promptTokens: 200, cachedTokens: 150 });
    expect(stats().prefixHitPercent).toBe(75);
    expect(samples('hermes_prefix_hit_ratio_predicted')).toEqual({ 'ns/p': 0.4 });
    expect(samples('hermes_prefix_hit_ratio_real')).toEqual({ 'ns/p': 0.75 });
  });

  it('counts what is under way', () => {
    traffic.policy('ns/p').started();
    traffic.policy('ns/p').started();
    traffic.policy('ns/p').finished(result());
    expect(stats().inFlight).toBe(1);
    expect(samples('hermes_requests_in_flight')).toEqual({ 'ns/p': 1 });
  });
});

describe('Traffic, since the start', () => {
  it('counts requests by group and class of the status', () => {
    for (const status of [200, 204, 404, 499, 502]) finish({ status });
    finish({ group: '', status: 503 });
    expect(samples('hermes_requests_total')).toEqual({
      'ns/p g 2xx': 2, 'ns/p g 4xx': 2, 'ns/p g 5xx': 1, 'ns/p  5xx': 1,
    }); // prettier-ignore
  });

  it('counts tokens as engines tell them, and nothing where they do not', () => {
    finish({ promptTokens: 10, completionTokens: 5, cachedTokens: 4 });
    finish();
    expect(samples('hermes_prompt_tokens_total')).toEqual({ 'ns/p': 10 });
    expect(samples('hermes_completion_tokens_total')).toEqual({ 'ns/p': 5 });
    expect(samples('hermes_cached_tokens_total')).toEqual({ 'ns/p': 4 });
  });

  it('counts retries, broken answers and refusals', () => {
    traffic.policy('ns/p').retried();
    finish({ broken: true });
    traffic.refused(404);
    traffic.refused(404);
    traffic.refused(413);
    expect(samples('hermes_retries_total')).toEqual({ 'ns/p': 1 });
    expect(samples('hermes_broken_answers_total')).toEqual({ 'ns/p': 1 });
    expect(samples('hermes_refused_requests_total')).toEqual({ 404: 2, 413: 1 });
  });

  it('counts calls of hand-overs by stage and outcome, and what they leave behind', () => {
    const telemetry = traffic.policy('ns/p');
    telemetry.stageEnded('prefill', 'ok');
    telemetry.stageEnded('prefill', 'ok');
    telemetry.stageEnded('decode', 'client_left');
    telemetry.abandoned();
    telemetry.noticed(3);
    expect(samples('hermes_handovers_total')).toEqual({ 'ns/p prefill ok': 2, 'ns/p decode client_left': 1 });
    expect(samples('hermes_handover_abandoned_total')).toEqual({ 'ns/p': 1 });
    expect(samples('hermes_handover_notices_total')).toEqual({ 'ns/p': 3 });
  });

  it('measures in seconds, in buckets that add up', () => {
    for (const duration of [0.5, 1, 3, 600_000]) finish({ duration });
    const name = 'hermes_request_duration_seconds';
    expect(samples(name)).toMatchObject({
      '_bucketns/p 0.001': 2, '_bucketns/p 0.0025': 2, '_bucketns/p 0.005': 3, '_bucketns/p 300': 3,
      '_bucketns/p +Inf': 4, '_countns/p': 4,
    }); // prettier-ignore
    expect(samples(name)['_sumns/p']).toBeCloseTo(600.0045);
  });

  it('measures the time between tokens from the first to the last', () => {
    finish({ duration: 1100, timeToFirstToken: 100, completionTokens: 11 });
    finish({ completionTokens: 1 });
    expect(samples('hermes_inter_token_seconds')).toMatchObject({ '_sumns/p': 0.1, '_countns/p': 1 });
  });

  it('measures decisions in microseconds', () => {
    finish({ decisionMicroseconds: 7 });
    expect(samples('hermes_decision_seconds')).toMatchObject({ '_bucketns/p 0.000005': 0, '_bucketns/p 0.00001': 1 });
  });
});

describe('Traffic, of a policy without requests', () => {
  it('is dropped after a quarter of an hour', () => {
    finish({}, 'ns/idle');
    time += 10 * minute;
    finish({}, 'ns/busy');
    time += 5 * minute + 1;
    expect(Object.keys(samples('hermes_retries_total'))).toEqual(['ns/busy']);
    expect(traffic.stats().map(({ policy }) => policy)).toEqual(['ns/busy']);
  });

  it('is kept while one of its requests is under way', () => {
    traffic.policy('ns/long').started();
    time += 60 * minute;
    expect(traffic.stats().map(({ policy }) => policy)).toEqual(['ns/long']);
  });
});

describe('Window', () => {
  it('sums what was added in the last sixty seconds, whatever the times', () => {
    const step = fc.record({
      wait: fc.integer({ min: 0, max: 90_000 }),
      column: fc.nat(2),
      value: fc.integer({ min: 0, max: 9 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let now = 12_345;
        const window = new Window(3, now);
        const added: { second: number; column: number; value: number }[] = [];
        for (const { wait, column, value } of steps) {
          now += wait;
          window.advance(now);
          window.add(column, value);
          added.push({ second: Math.floor(now / 1000), column, value });
          const oldest = Math.floor(now / 1000) - 59;
          for (const asked of [0, 1, 2]) {
            const wanted = added.filter((one) => one.second >= oldest && one.column === asked);
            expect(window.sum(asked, now)).toBe(wanted.reduce((total, one) => total + one.value, 0));
          }
        }
      }),
    );
  });
});
