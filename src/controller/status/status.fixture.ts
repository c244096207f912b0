import { Value } from 'typebox/value';
import { expect } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { backendGroupStatus, type BackendGroupStatus } from '../../api/backend-group-status.ts';
import { faultsOf } from '../../api/check.ts';
import { routingPolicyStatus, type RoutingPolicyStatus } from '../../api/routing-policy-status.ts';
import type { Log } from '../../observability/log.ts';
import type { EndpointScore, PolicyReport } from '../../observability/replica-report.ts';
import { met } from '../conditions.ts';
import { KubeUnreachable, type KubeClient, type KubeRequest, type KubeResponse } from '../kube/contract.ts';
import { viewOf, type ReplicaView } from '../peers/replica-view.ts';
import { groupStatus, type GroupFacts, type GroupFigures, type MemberFacts } from './group-status.ts';
import { policyStatus, type PolicyFacts } from './policy-status.ts';
import type { StatusTarget } from './status-writer.ts';

/** 2026-11-21 12:00 UTC. */
export const noon = Date.UTC(2026, 10, 21, 12);

export const report = (fields: Partial<PolicyReport> = {}): PolicyReport => ({
  policy: 'default/p',
  generation: 1,
  windowSeconds: 60,
  requestsPerMinute: 0,
  errorsPerMinute: 0,
  prefixHitPercent: 0,
  ttftP50Milliseconds: 0,
  ttftP90Milliseconds: 0,
  inFlight: 0,
  scores: [],
  ...fields,
});

export const score = (name: string, picks: number, value = 1): EndpointScore => ({
  name,
  group: 'g',
  picks,
  score: value,
  breakdown: [{ scorer: 'scorer-auto', value, weight: 1 }],
});

export const replica = (name: string, fields: Partial<PolicyReport> = {}, ready = true): ReplicaView =>
  viewOf({ replica: name, ready, policies: [report(fields)] });

export const policyFacts = (fields: Partial<PolicyFacts> = {}): PolicyFacts => ({
  key: 'default/p',
  generation: 1,
  inForce: 1,
  conditions: [met('Accepted', 'the policy is valid'), met('ResolvedRefs', 'every backend exists')],
  backends: [{ name: 'g', weight: 1 }],
  effectiveProfile: 'scorer-auto x1 → picker-min-random',
  replicas: [replica('r0')],
  previous: undefined,
  now: noon,
  ...fields,
});

export const member = (name: string, fields: Partial<MemberFacts> = {}): MemberFacts => ({
  name,
  address: '10.0.0.1:8000',
  ready: true,
  reason: 'Ready',
  staleSince: null,
  ...fields,
});

export const groupFigures = (fields: Partial<GroupFigures> = {}): GroupFigures => ({
  total: 1,
  shutOut: 0,
  ready: 1,
  draining: 0,
  ejected: 0,
  kvCachePercent: 40,
  scrapeSlowed: false,
  ...fields,
});

export const groupFacts = (fields: Partial<GroupFacts> = {}): GroupFacts => ({
  generation: 1,
  conditions: [met('Accepted', 'the group is valid'), met('Discovered', '1 endpoints')],
  topology: 'Aggregate',
  figures: groupFigures(),
  members: [member('e0')],
  models: [{ name: 'm', source: 'Declared' }],
  previous: undefined,
  now: noon,
  ...fields,
});

/** A status that the API server would take, lists of maps and their keys included. */
export function validPolicyStatus(facts: PolicyFacts): RoutingPolicyStatus {
  const status = policyStatus(facts);
  expect(faultsOf(routingPolicyStatus, status)).toEqual([]);
  expect(Value.Check(routingPolicyStatus, status)).toBe(true);
  return status;
}

export function validGroupStatus(facts: GroupFacts): BackendGroupStatus {
  const status = groupStatus(facts);
  expect(faultsOf(backendGroupStatus, status)).toEqual([]);
  expect(Value.Check(backendGroupStatus, status)).toBe(true);
  return status;
}

export const silentLog: Log = { info: () => {}, warn: () => {}, error: () => {} };

/** Lets what promises hold back go on. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Goes on in small steps, so that answers arrive in between. */
export async function pass(clock: ManualClock, milliseconds: number, step = 100): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += step) {
    clock.advance(Math.min(step, milliseconds - passed));
    await settle();
  }
}

/** Objects of an API server, with what was asked of it and when. Answers come at once, or when `held` are let go. */
export class FakeApi implements KubeClient {
  readonly namespace = 'default';
  readonly requests: { readonly at: number; readonly request: KubeRequest }[] = [];
  readonly statuses = new Map<string, unknown>();
  /** Status of the answers, by path; 200 where there is none; 0 for no answer. */
  readonly answers = new Map<string, number>();
  everyAnswer = 200;
  private readonly held: (() => void)[] = [];
  private readonly clock: ManualClock;
  hold = false;

  constructor(clock: ManualClock) {
    this.clock = clock;
  }

  async send(request: KubeRequest): Promise<KubeResponse> {
    this.requests.push({ at: this.clock.now(), request });
    if (this.hold) await new Promise<void>((resolve) => this.held.push(resolve));
    const path = request.path.replace(/\?.*/, '');
    const status = this.answers.get(path) ?? this.everyAnswer;
    if (status === 0) throw new KubeUnreachable('no answer');
    if (status < 300) this.statuses.set(path, Reflect.get(Object(request.body), 'status'));
    return { status, body: status < 300 ? {} : { kind: 'Status', message: 'no' } };
  }

  release(): void {
    this.hold = false;
    for (const go of this.held.splice(0)) go();
  }

  watch(): () => void {
    throw new Error('nothing is watched here');
  }

  close(): void {}
}

export const statusPath = (name: string): string =>
  `/apis/hermes-router.io/v1alpha1/namespaces/default/routingpolicies/${name}/status`;

export const policyTarget = (name: string, fields: Partial<StatusTarget> = {}): StatusTarget => ({
  kind: 'RoutingPolicy',
  namespace: 'default',
  name,
  uid: `uid-${name}`,
  resourceVersion: '1',
  status: undefined,
  ...fields,
});
