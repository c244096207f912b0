import { describe, expect, it } from 'vitest';
import { ActiveHealth } from './active-health.ts';
import type { ProbeFault } from './probe.ts';

const [failures, successes] = [3, 2];
const probe = (health: ActiveHealth, answer: ProbeFault | 'ok') =>
  answer === 'ok' ? health.succeeded(successes) : health.failed(answer, failures);

describe('ActiveHealth', () => {
  it.each([
    { says: 'an endpoint is usable before its first probe', probes: [], verdicts: [], usable: true },
    { says: 'one good probe proves an unknown one', probes: ['ok'], verdicts: ['up'], usable: true },
    { says: 'an unknown one is out at its first failure', probes: ['timeout'], verdicts: ['down'], usable: false },
    {
      says: 'a proven one stands two failures',
      probes: ['ok', 'timeout', 'status'],
      verdicts: ['up', 'same', 'same'],
      usable: true,
    },
    {
      says: 'and is out at the third',
      probes: ['ok', 'timeout', 'status', 'reset'],
      verdicts: ['up', 'same', 'same', 'down'],
      usable: false,
    },
    {
      says: 'only failures in a row count',
      probes: ['ok', 'timeout', 'timeout', 'ok', 'timeout', 'timeout'],
      verdicts: ['up', 'same', 'same', 'same', 'same', 'same'],
      usable: true,
    },
    {
      says: 'one that is out needs two successes',
      probes: ['reset', 'ok', 'ok'],
      verdicts: ['down', 'same', 'up'],
      usable: true,
    },
    {
      says: 'in a row',
      probes: ['reset', 'ok', 'reset', 'ok'],
      verdicts: ['down', 'same', 'same', 'same'],
      usable: false,
    },
  ] as const)('$says', ({ probes, verdicts, usable }) => {
    const health = new ActiveHealth();
    expect(probes.map((answer) => probe(health, answer))).toEqual(verdicts);
    expect(health.usable).toBe(usable);
  });

  it.each([
    { says: 'where one probe was refused', probes: ['ok', 'refused'], absent: true },
    { says: 'where it broke until the endpoint was out', probes: ['ok', 'reset', 'reset', 'reset'], absent: true },
    { says: 'not where one connection broke', probes: ['ok', 'reset'], absent: false },
    { says: 'not where it was only slow', probes: ['ok', 'timeout', 'timeout', 'timeout'], absent: false },
    { says: 'not any more after a good probe', probes: ['ok', 'refused', 'ok'], absent: false },
    { says: 'still while the successes do not suffice', probes: ['refused', 'ok'], absent: true },
  ] as const)('takes the engine for absent $says', ({ probes, absent }) => {
    const health = new ActiveHealth();
    probes.forEach((answer) => probe(health, answer));
    expect(health.wasAbsent).toBe(absent);
  });
});
