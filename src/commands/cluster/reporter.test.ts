import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import type { ResourceState } from '../../controller/cluster-state.ts';
import { EventRecorder } from '../../controller/kube/events.ts';
import type { KubeRequest, KubeResponse } from '../../controller/kube/contract.ts';
import { FakeApi, pass, silentLog } from '../../controller/status/status.fixture.ts';
import { keepResource } from '../../controller/watched.ts';
import { Reporter } from './reporter.ts';

/** Takes Events as the API server does. */
class EventApi extends FakeApi {
  override async send(request: KubeRequest): Promise<KubeResponse> {
    const { status, body } = await super.send(request);
    return { status: status === 200 && request.method === 'POST' ? 201 : status, body };
  }
}

let clock: ManualClock;
let api: EventApi;
let reporter: Reporter;

beforeEach(() => {
  clock = new ManualClock();
  api = new EventApi(clock);
  const controller = 'hermes-router.io/controller';
  const recorder = new EventRecorder({ client: api, controller, instance: 'r', clock, log: silentLog });
  reporter = new Reporter(recorder, { routerClass: 'hermes', replica: 'r', namespace: 'default' });
});

function object(status?: object): ResourceState {
  const metadata = { name: 'p', namespace: 'default', uid: 'u', generation: 1, resourceVersion: '1' };
  const keep = keepResource({ kind: 'RoutingPolicy', routerClass: 'hermes', allowExternalTargets: false });
  const watched = keep({ metadata, spec: { backendRefs: [{ name: 'g' }] }, ...(status && { status }) });
  if (watched === null) throw new Error('of another class');
  return { watched, inForce: null };
}

const says = (status: 'True' | 'False', reason: string, observedGeneration = 1) => ({
  conditions: [
    { type: 'Accepted', status, reason, message: 'm', observedGeneration, lastTransitionTime: '2026-11-21T00:00:00Z' },
  ],
});

/** Reasons of the Events so far; a minute later, since that is how often one object is told the same. */
async function told(): Promise<string[]> {
  await pass(clock, 61_000, 1000);
  return api.requests.map(({ request }) => String(Object(request.body).reason));
}

describe('what is told of an object', () => {
  it('is told when it changes, and once', async () => {
    for (let i = 0; i < 3; i++) reporter.status(object(), says('True', 'Accepted'));
    expect(await told()).toEqual(['Accepted']);
    reporter.status(object(), says('False', 'Invalid'));
    expect(await told()).toEqual(['Accepted', 'Refused']);
  });

  it('is not told again by the next leader', async () => {
    reporter.status(object(says('True', 'Accepted')), says('True', 'Accepted'));
    expect(await told()).toEqual([]);
  });

  it('is forgotten with the object', async () => {
    reporter.status(object(), says('True', 'Accepted'));
    expect(await told()).toEqual(['Accepted']);
    reporter.forget('RoutingPolicy default/p');
    reporter.status(object(), says('True', 'Accepted'));
    expect(await told()).toEqual(['Accepted', 'Accepted']);
  });
});
