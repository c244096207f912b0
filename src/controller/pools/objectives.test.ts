import { describe, expect, it } from 'vitest';
import { keepObjective, objectiveApis, Objectives, objectivesIn, sameObjective } from './objectives.ts';

const metadata = { namespace: 'ns', name: 'batch' };
const [llmD, gie] = objectiveApis;
const pool = { namespace: 'ns', name: 'pool' };

describe('keepObjective', () => {
  const cases: [string, unknown, object | null][] = [
    ['reads priority and pool', { metadata, spec: { priority: -3, poolRef: { name: 'pool' } } }, { priority: -3, pool: 'pool' }],
    ['means 0 where no priority is given', { metadata, spec: { poolRef: { name: 'pool' } } }, { priority: 0 }],
    ['means 0 by a priority that is no whole number', { metadata, spec: { priority: 'high', poolRef: { name: 'pool' } } }, { priority: 0 }],
    ['takes the pool’s group and kind where they are written', { metadata, spec: { poolRef: { group: 'inference.networking.k8s.io', kind: 'InferencePool', name: 'pool' } } }, { pool: 'pool' }],
    ['passes over one without a pool', { metadata, spec: { priority: 1 } }, null],
    ['passes over one of another kind of pool', { metadata, spec: { poolRef: { kind: 'Service', name: 'pool' } } }, null],
    ['passes over one of another API group', { metadata, spec: { poolRef: { group: 'x', name: 'pool' } } }, null],
    ['passes over what is no object', 'x', null],
  ]; // prettier-ignore
  it.each(cases)('%s', (_name, object, wanted) => {
    const kept = keepObjective(llmD)(object);
    if (wanted === null) expect(kept).toBeNull();
    else expect(kept).toMatchObject({ api: llmD, ...metadata, ...wanted });
  });
});

describe('Objectives', () => {
  const objective = { api: llmD, ...metadata, pool: 'pool', priority: -1 };

  it('tell the priority of a pool’s objective, and 0 of all others', () => {
    const objectives = new Objectives();
    objectives.set(objective);
    expect(objectives.priorityOf(pool, 'batch')).toBe(-1);
    expect(objectives.priorityOf(pool, 'unknown')).toBe(0);
    expect(objectives.priorityOf({ ...pool, name: 'another' }, 'batch')).toBe(0);
    expect(objectives.priorityOf({ ...pool, namespace: 'another' }, 'batch')).toBe(0);
    objectives.remove(objective);
    expect(objectives.priorityOf(pool, 'batch')).toBe(0);
  });

  it('prefer llm-d’s group while both have the name, in whatever order they come', () => {
    const old = { ...objective, api: gie, priority: 5 };
    for (const order of [
      [objective, old],
      [old, objective],
    ]) {
      const objectives = new Objectives();
      for (const one of order) objectives.set(one);
      expect(objectives.priorityOf(pool, 'batch')).toBe(-1);
      objectives.remove(objective);
      expect(objectives.priorityOf(pool, 'batch')).toBe(5);
    }
  });

  it('are the same while priority and pool are', () => {
    expect(sameObjective(objective, { ...objective })).toBe(true);
    expect(sameObjective(objective, { ...objective, priority: 0 })).toBe(false);
    expect(sameObjective(objective, { ...objective, pool: 'x' })).toBe(false);
  });
});

describe('objectivesIn', () => {
  const document = (apiVersion: string, kind = 'InferenceObjective') =>
    `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: batch}\nspec: {priority: -1, poolRef: {name: pool}}\n`;
  const text = [document(llmD), document(gie), document('llm-d.ai/v9'), document(llmD, 'Other')].join('---\n');

  it('reads the objectives of a file, of the namespace default where none is named', () => {
    expect(objectivesIn({ path: 'a.yaml', text })).toMatchObject([
      { api: llmD, namespace: 'default', name: 'batch', priority: -1 },
      { api: gie, namespace: 'default', name: 'batch', priority: -1 },
    ]);
  });

  it('reads nothing of a file that is no YAML', () => {
    expect(objectivesIn({ path: 'a.yaml', text: 'a: [' })).toEqual([]);
  });
});
