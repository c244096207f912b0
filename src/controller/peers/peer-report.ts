import { isObject } from '../../api/schema-node.ts';
import type { EndpointScore, PolicyReport, ReplicaReport } from '../../observability/replica-report.ts';

/** What a replica answered is no report. */
export class ReportFault extends Error {
  override readonly name = 'ReportFault';
}

const longest = { replica: 253, policy: 317, name: 253 } as const;
const most = { policies: 20_000, scores: 64, parts: 16 } as const;

/**
 * A replica's answer as a report. Peers are other versions of this program at best, so every field is looked at:
 * numbers are finite, strings and lists bounded. Fields that are not known are passed over. Throws ReportFault.
 */
export function readReport(text: string): ReplicaReport {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ReportFault('the answer is no JSON');
  }
  const fields = record(value, 'the answer');
  return {
    replica: name(fields, 'replica', longest.replica),
    ready: flag(fields, 'ready'),
    policies: list(fields, 'policies', most.policies).map(readPolicy),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function readPolicy(value: unknown): PolicyReport {
  const fields = record(value, 'a policy');
  return {
    policy: name(fields, 'policy', longest.policy),
    generation: count(fields, 'generation'),
    windowSeconds: count(fields, 'windowSeconds'),
    requestsPerMinute: count(fields, 'requestsPerMinute'),
    errorsPerMinute: count(fields, 'errorsPerMinute'),
    prefixHitPercent: count(fields, 'prefixHitPercent'),
    ttftP50Milliseconds: count(fields, 'ttftP50Milliseconds'),
    ttftP90Milliseconds: count(fields, 'ttftP90Milliseconds'),
    inFlight: count(fields, 'inFlight'),
    scores: list(fields, 'scores', most.scores).map(readScore),
  };
}

function readScore(value: unknown): EndpointScore {
  const fields = record(value, 'a score');
  return {
    name: name(fields, 'name', longest.name),
    group: name(fields, 'group', longest.name),
    picks: count(fields, 'picks'),
    score: figure(fields, 'score'),
    breakdown: list(fields, 'breakdown', most.parts).map((part) => {
      const parts = record(part, 'a part of a score');
      return {
        scorer: name(parts, 'scorer', longest.name),
        value: figure(parts, 'value'),
        weight: figure(parts, 'weight'),
      };
    }),
  };
}

function record(value: unknown, what: string): Fields {
  if (!isObject(value)) throw new ReportFault(`${what} is no object`);
  return value;
}

function list(fields: Fields, field: string, longestList: number): readonly unknown[] {
  const value = fields[field];
  if (Array.isArray(value) && value.length <= longestList) return value;
  throw new ReportFault(`${field} is no list of at most ${longestList}`);
}

function name(fields: Fields, field: string, longestText: number): string {
  const value = fields[field];
  if (typeof value === 'string' && value !== '' && value.length <= longestText) return value;
  throw new ReportFault(`${field} is no text of 1 to ${longestText} characters`);
}

function flag(fields: Fields, field: string): boolean {
  const value = fields[field];
  if (typeof value === 'boolean') return value;
  throw new ReportFault(`${field} is neither true nor false`);
}

/** Larger ones, and 1e999, which is read as infinity, would make infinity of a sum. */
const largest = Number.MAX_SAFE_INTEGER;

function figure(fields: Fields, field: string): number {
  const value = fields[field];
  if (typeof value === 'number' && Math.abs(value) <= largest) return value;
  throw new ReportFault(`${field} is no number from -2^53 to 2^53`);
}

function count(fields: Fields, field: string): number {
  const value = figure(fields, field);
  if (value >= 0) return value;
  throw new ReportFault(`${field} is below 0`);
}
