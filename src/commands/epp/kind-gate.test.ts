import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import type { KubeClient, KubeResponse } from '../../controller/kube/contract.ts';
import { createLog } from '../../observability/log.ts';
import { hasKind, KindGate } from './kind-gate.ts';

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function gateOf(answers: (boolean | Error)[]) {
  const clock = new ManualClock();
  const lines: string[] = [];
  const states: string[] = [];
  let asked = 0;
  const gate = new KindGate({
    ask: () => {
      const answer = answers[Math.min(asked, answers.length - 1)];
      asked += 1;
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
    onChange: () => states.push(gate.state),
    what: 'things',
    clock,
    log: createLog((line) => lines.push(line)),
  });
  const pass = async (milliseconds: number): Promise<void> => {
    clock.advance(milliseconds);
    await settle();
  };
  return { gate, states, lines, pass, asked: () => asked };
}

describe('KindGate', () => {
  it('asks until the kind is there, and then no more', async () => {
    const { gate, states, pass, asked } = gateOf([false, false, true]);
    expect(gate.state).toBe('unknown');
    gate.start();
    await settle();
    expect(states).toEqual(['absent']);
    await pass(14_000);
    expect(asked()).toBe(1);
    await pass(1_000);
    await pass(15_000);
    expect(states).toEqual(['absent', 'there']);
    await pass(600_000);
    expect(asked()).toBe(3);
  });

  it('asks again soon where nobody answers, says so once, and keeps what it knew', async () => {
    const { gate, states, lines, pass, asked } = gateOf([new Error('away'), new Error('away'), false, new Error('x')]);
    gate.start();
    await settle();
    await pass(1_000);
    expect([gate.state, asked(), lines.length]).toEqual(['unknown', 2, 1]);
    await pass(1_000);
    await pass(15_000);
    expect([states, gate.state, lines.length]).toEqual([['absent'], 'absent', 2]);
  });

  it('asks and tells no more once it is closed', async () => {
    const { gate, states, pass, asked } = gateOf([false]);
    gate.start();
    gate.close();
    await settle();
    await pass(60_000);
    expect([states, asked()]).toEqual([[], 1]);
  });
});

describe('hasKind', () => {
  const client = (answer: KubeResponse): KubeClient => ({
    namespace: 'ns',
    send: () => Promise.resolve(answer),
    watch: () => () => undefined,
    close: () => undefined,
  });
  const ask = (answer: KubeResponse) => hasKind(client(answer), 'llm-d.ai/v1alpha2', 'inferenceobjectives');

  it.each<[string, KubeResponse, boolean]>([
    ['there', { status: 200, body: { resources: [{ name: 'inferenceobjectives/status' }, { name: 'inferenceobjectives' }] } }, true],
    ['missing from its group', { status: 200, body: { resources: [{ name: 'others' }] } }, false],
    ['missing with its group', { status: 404, body: {} }, false],
    ['not to be asked for', { status: 403, body: {} }, false],
  ])('says that a kind is %s', async (_name, answer, wanted) => {
    expect(await ask(answer)).toBe(wanted);
  }); // prettier-ignore

  it('knows nothing where the server is ill', async () => {
    await expect(ask({ status: 500, body: {} })).rejects.toThrow('500');
  });
});
