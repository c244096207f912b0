import { describe, expect, it } from 'vitest';
import { ConfigFileState, type ConfigSnapshot } from './config-file-state.ts';

const file = 'conf/v25.09.yaml';
const config = (strategy: string, more = ''): { text: string } => ({
  text: `app:\n  strategy: ${strategy}\n  discovery:\n    labelSelector: { app: vllm }\n    inferencePort: 8000\n${more}`,
});
const gone = { problem: { message: 'does not exist', cure: 'put it back' } };
const keys = ['BackendGroup own/app', 'RoutingPolicy own/app'];

const summary = ({ groups, policies, faults, lastGoodInForce }: ConfigSnapshot) => ({
  groups: groups.length,
  strategies: policies.map(({ resource }) => resource.spec.strategy.type),
  faults: faults.map(({ line, path, message }) => `${line} ${path} ${message}`),
  lastGood: [...lastGoodInForce],
});

describe('ConfigFileState', () => {
  it('gives one group and one policy in the namespace of the file', () => {
    const snapshot = new ConfigFileState(file, 'own').update(config('random', '  namespace: theirs\n'));
    expect(summary(snapshot)).toEqual({ groups: 1, strategies: ['Random'], faults: [], lastGood: [] });
    expect(snapshot).toMatchObject({ namespace: 'theirs', broken: [], policies: [{ created: 0 }] });
    expect(snapshot.groups[0].metadata).toEqual({ name: 'app', namespace: 'theirs' });
  });

  it('takes the given namespace where the file names none', () => {
    expect(new ConfigFileState(file, 'own').update(config('random')).namespace).toBe('own');
  });

  it('follows changes', () => {
    const state = new ConfigFileState(file, 'own');
    state.update(config('random'));
    expect(summary(state.update(config('round-robin'))).strategies).toEqual(['RoundRobin']);
  });

  it.each([
    ['is wrong', config('kv-awre'), '2 app.strategy is "kv-awre"'],
    ['is no YAML', { text: 'app:\n  a: [' }, '2  is no YAML: unexpected end of the stream within a flow collection'],
    ['is empty', { text: '' }, '1  is empty'],
    ['holds only comments', { text: '# app:\n' }, '1  is empty'],
    ['is gone', gone, '1  does not exist'],
  ])('keeps what was in force while the file %s, and says so; then goes on', (_, look, fault) => {
    const state = new ConfigFileState(file, 'own');
    const before = state.update(config('random'));
    const during = state.update(look);
    expect(summary(during)).toEqual({ groups: 1, strategies: ['Random'], faults: [fault], lastGood: keys });
    // The very objects: nothing is compiled anew for a fault.
    expect(during.groups[0]).toBe(before.groups[0]);
    expect(during.policies[0]).toBe(before.policies[0]);
    expect(during.faults[0]).toMatchObject({ file, cure: expect.stringMatching(/./) });
    expect(summary(state.update(config('round-robin')))).toMatchObject({ strategies: ['RoundRobin'], lastGood: [] });
  });

  it('has nothing in force while the file has never been right', () => {
    const snapshot = new ConfigFileState(file, 'own').update(config('kv-awre'));
    expect(snapshot.namespace).toBeNull();
    expect(summary(snapshot)).toMatchObject({ groups: 0, strategies: [], lastGood: [] });
  });

  it('notes keys without an effect, at their lines, while the file is right', () => {
    const state = new ConfigFileState(file, 'own');
    const notes = state.update(config('random', '    interval: 5\n')).notes;
    expect(notes).toMatchObject([{ file, line: 6, path: 'app.discovery.interval' }]);
    expect(state.update(gone).notes).toEqual([]);
  });
});
