import { Value } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { conditions } from './conditions.ts';

const list = conditions('Conditions.');
const of = (type: string): unknown[] => [
  { type, status: 'True', lastTransitionTime: '2026-11-21T00:00:00Z', reason: 'Fine', message: '' },
];

describe("a condition's type", () => {
  it.each(['Ready', 'example.com/Reviewed', 'a.b-c.example/Has_been.seen-1', 'x'])(
    'may be %s, as in Kubernetes',
    (type) => {
      expect(Value.Check(list, of(type))).toBe(true);
    },
  );

  it.each(['', '/Reviewed', 'Example.com/Reviewed', 'example.com/', 'a/b/c', '-a', 'a-', 'two words'])(
    'may not be %j, as in Kubernetes',
    (type) => {
      expect(Value.Check(list, of(type))).toBe(false);
    },
  );
});
