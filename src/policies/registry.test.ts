import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { load } from 'js-yaml';
import { Value } from 'typebox/value';
import { candidatesOf, contextOf, endpoints, readyStates, request } from '../../test/fixtures/fleet.ts';
import { buildProfile } from './build.ts';
import type { ProfileSpec } from './definition.ts';
import { registry } from './index.ts';
import { byType, pluginOf } from './registry.ts';
import { leastLoad } from './scorers/least-load.ts';

const root = new URL('../../', import.meta.url);
const folders = {
  filters: 'filter',
  scorers: 'scorer',
  pickers: 'picker',
  'pair-filters': 'pair-filter',
  'pair-scorers': 'pair-scorer',
  'pair-pickers': 'pair-picker',
  handlers: 'handler',
  presets: 'preset',
} as const;

/** Kinds of which a RoutingPolicy has no place: their examples are of an EndpointPickerConfig. */
const ofPairs: readonly string[] = ['pair-filter', 'pair-scorer', 'pair-picker', 'handler'];

const all = Object.values(registry).flatMap((map) => [...map.values()]);

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

const recordsOf = (value: unknown): Record<string, unknown>[] => (Array.isArray(value) ? value.filter(isRecord) : []);

/** The profile of an EndpointPickerConfig whose plugins have no names of their own. */
function pickerProfile(example: unknown): ProfileSpec {
  if (!isRecord(example)) throw new Error('the example is no object');
  expect(example.kind).toBe('EndpointPickerConfig');
  const [{ plugins }] = recordsOf(example.schedulingProfiles);
  const declared = recordsOf(example.plugins);
  const members = recordsOf(plugins).map(({ pluginRef, weight }) => {
    const { type, parameters } = declared.find((plugin) => plugin.type === pluginRef) ?? {};
    expect(type, String(pluginRef)).toBe(pluginRef);
    return { type: String(type), ...(isRecord(parameters) ? { parameters } : {}), weight: Number(weight ?? 1) };
  });
  const kinds = (...wanted: string[]) =>
    members.filter(({ type }) => wanted.includes(pluginOf(registry, type)?.kind ?? 'none'));
  const [picker] = kinds('picker', 'pair-picker');
  return {
    filters: kinds('filter', 'pair-filter'),
    scorers: kinds('scorer', 'pair-scorer'),
    ...(picker === undefined ? {} : { picker }),
    handlers: kinds('handler'),
  };
}

describe('pluginOf', () => {
  it('finds a plugin of any kind by its name', () => {
    for (const definition of all) {
      expect(pluginOf(registry, definition.type)).toBe(definition.kind === 'preset' ? undefined : definition);
    }
    expect(pluginOf(registry, 'nope')).toBeUndefined();
  });
});

describe('byType', () => {
  it('finds definitions by their name', () => {
    expect([...byType([leastLoad]).keys()]).toEqual(['scorer-least-load']);
  });

  it('refuses two of one name', () => {
    expect(() => byType([leastLoad, leastLoad])).toThrow('two scorers are called scorer-least-load');
  });
});

describe('the registry', () => {
  it('has no name twice, whatever the kind', () => {
    const names = all.map(({ type }) => type);
    expect(new Set(names).size).toBe(names.length);
  });

  it.each(Object.entries(folders))('lists every file of %s, each with a test beside it', (folder, kind) => {
    const files = readdirSync(new URL(`src/policies/${folder}/`, root)).filter((name) => name.endsWith('.ts'));
    const sources = files.filter((name) => !name.endsWith('.test.ts'));
    expect(all.filter((definition) => definition.kind === kind)).toHaveLength(sources.length);
    for (const source of sources) expect(files).toContain(source.replace(/\.ts$/, '.test.ts'));
  });

  it.each(all.map((definition) => [definition.type, definition] as const))(
    '%s says what it is in one sentence',
    (_type, { summary }) => {
      expect(summary).toMatch(/^[^\n]{10,160}\.$/);
    },
  );

  it.each(all.map((definition) => [definition.type, definition] as const))(
    '%s describes its parameters and refuses unknown ones',
    (_type, { parameters }) => {
      for (const [name, schema] of Object.entries(parameters.properties)) {
        expect(schema, name).toHaveProperty('description');
      }
      const filled: unknown = Value.Default(parameters, {});
      expect(Value.Check(parameters, { ...(filled as object), unheardOf: 1 })).toBe(false);
    },
  );

  it.each(all.map((definition) => [definition.type, definition] as const))(
    '%s has a page that names its type, every parameter and its default, with an example',
    (type, { parameters }) => {
      const page = new URL(`docs/policies/${type}.md`, root);
      expect(existsSync(page), page.pathname).toBe(true);
      const text = readFileSync(page, 'utf8');
      expect(text).toMatch(new RegExp(`^# \`?${type}\`?$`, 'm'));
      expect(text).toContain('```yaml');
      const rows = text.split('\n').filter((line) => line.startsWith('|'));
      for (const name of Object.keys(parameters.properties)) {
        const row = rows.find((line) => line.includes(`\`${name}\``));
        expect(row, `${name} in the table of ${type}`).toBeDefined();
        const fallback: unknown = Value.Default(parameters, {});
        if (isRecord(fallback) && name in fallback) expect(row).toContain(`\`${String(fallback[name])}\``);
      }
    },
  );

  it.each(all.map((definition) => [definition.type, definition] as const))(
    '%s has an example that works and speaks of it',
    (type, definition) => {
      const text = readFileSync(new URL(`docs/policies/${type}.md`, root), 'utf8');
      const example: unknown = load(/```yaml\n([^]*?)```/.exec(text)?.[1] ?? '');
      const strategy =
        isRecord(example) && isRecord(example.spec) && isRecord(example.spec.strategy) ? example.spec.strategy : {};
      if (definition.kind === 'preset') {
        expect(strategy.type).toBe(type);
        expect(Object.keys(strategy).filter((key) => key !== 'type' && key !== definition.member)).toEqual([]);
        const parameters: unknown = Value.Default(definition.parameters, strategy[definition.member] ?? {});
        expect(Value.Check(definition.parameters, parameters)).toBe(true);
      } else {
        const pairs = ofPairs.includes(definition.kind);
        if (!pairs) expect(strategy.type).toBe('Profile');
        const spec = pairs ? pickerProfile(example) : (strategy.profile as ProfileSpec);
        expect(buildProfile(spec, registry, contextOf(readyStates(1))).parts.description).toContain(type);
      }
    },
  );

  it('has no page for a policy that does not exist', () => {
    const pages = readdirSync(new URL('docs/policies/', root)).filter((name) => name !== 'README.md');
    expect(new Set(pages)).toEqual(new Set(all.map(({ type }) => `${type}.md`)));
  });
});

describe('every scorer', () => {
  const situations: [string, number, number, number[]][] = [
    ['one idle endpoint and an empty prompt', 1, 1, []],
    ['endpoints that hold nothing', 7, 5000, []],
    ['endpoints that hold all, some and more than the prompt', 5, 100, [100, 50, 1e9]],
    ['very many endpoints', 900, 1e6, []],
  ];

  for (const definition of registry.scorers.values()) {
    describe(definition.type, () => {
      const states = readyStates(1000);
      const parameters = Value.Default(definition.parameters, {});
      if (!Value.Check(definition.parameters, parameters)) throw new Error(`${definition.type} needs parameters`);
      const scorer = definition.create(
        parameters,
        contextOf(states, () => 0.5),
      );
      for (let slot = 0; slot < 1000; slot++) {
        states.inFlight[slot] = slot % 13;
        states.queuedTokens[slot] = (slot % 7) * 1000;
        states.ownWaiting[slot] = states.unseenWaiting[slot] = slot % 5;
        states.waiting[slot] = (slot % 3) * 100;
        states.usage[slot] = (slot % 11) / 10;
      }

      it.each(situations)(
        'writes a finite number for each candidate and nothing else: %s',
        (_name, count, prompt, cached) => {
          const candidates = candidatesOf(endpoints(count), prompt, cached);
          const before = structuredClone(candidates);
          const out = new Float64Array(count + 8).fill(NaN);
          scorer.score(request({ user: 'somebody' }), candidates, out);
          for (let i = 0; i < count; i++) expect(Number.isFinite(out[i])).toBe(true);
          expect([...out.subarray(count)].every(Number.isNaN)).toBe(true);
          expect({ ...candidates }).toEqual({ ...before });
        },
      );

      it('says the same of the same state', () => {
        const candidates = candidatesOf(endpoints(20), 700, [10, 20, 30]);
        const rounds = [new Float64Array(20), new Float64Array(20)];
        for (const out of rounds) scorer.score(request({ user: 'somebody' }), candidates, out);
        expect(rounds[0]).toEqual(rounds[1]);
      });

      it('says of an endpoint the same wherever it stands among the candidates', () => {
        const list = endpoints(20);
        const forward = new Float64Array(20);
        const backward = new Float64Array(20);
        scorer.score(request({ user: 'somebody' }), candidatesOf(list, 700), forward);
        scorer.score(request({ user: 'somebody' }), candidatesOf([...list].reverse(), 700), backward);
        expect([...backward].reverse()).toEqual([...forward]);
      });

      it('leaves the books alone', () => {
        const before = [states.inFlight, states.queuedTokens, states.ownWaiting, states.waiting, states.flags].map(
          (field) => [...field],
        );
        scorer.score(request(), candidatesOf(endpoints(20), 700), new Float64Array(20));
        expect(
          [states.inFlight, states.queuedTokens, states.ownWaiting, states.waiting, states.flags].map((field) => [
            ...field,
          ]),
        ).toEqual(before);
      });

      if (definition.direction === 'gain') {
        it('is a gain within 0..1, so that weights compare', () => {
          const out = new Float64Array(900);
          scorer.score(request({ user: 'somebody' }), candidatesOf(endpoints(900), 700, [0, 700, 9000]), out);
          for (const value of out) {
            expect(value).toBeGreaterThanOrEqual(0);
            expect(value).toBeLessThanOrEqual(1);
          }
        });
      }

      if (!definition.readsHits) {
        it('does not read hits, as it says', () => {
          const without = new Float64Array(5);
          const withHits = new Float64Array(5);
          scorer.score(request({ user: 'somebody' }), candidatesOf(endpoints(5), 700), without);
          scorer.score(request({ user: 'somebody' }), candidatesOf(endpoints(5), 700, [700, 1, 2, 3, 4]), withHits);
          expect(withHits).toEqual(without);
        });
      } else {
        it('reads hits, as it says', () => {
          const without = new Float64Array(2);
          const withHits = new Float64Array(2);
          scorer.score(request(), candidatesOf(endpoints(2), 700), without);
          scorer.score(request(), candidatesOf(endpoints(2), 700, [700, 0]), withHits);
          expect(withHits[0]).not.toBe(without[0]);
        });
      }
    });
  }
});

describe('every picker', () => {
  for (const definition of registry.pickers.values()) {
    it(`${definition.type} picks one of the candidates, also a single one`, () => {
      const picker = definition.create(
        {},
        contextOf(readyStates(100), () => 0.999999),
      );
      for (const count of [1, 2, 100]) {
        for (let i = 0; i < 50; i++) {
          const index = picker.pick(request(), candidatesOf(endpoints(count)), new Float64Array(100));
          expect(Number.isInteger(index) && index >= 0 && index < count).toBe(true);
        }
      }
    });
  }
});

describe('every preset', () => {
  it.each([...registry.presets.values()].map((preset) => [preset.type, preset] as const))(
    '%s keeps its parameters in the member of its own name in lower camel case',
    (type, { member }) => {
      expect(member.toLowerCase()).toBe(type.toLowerCase());
      expect(member).toMatch(/^[a-z]/);
    },
  );
});
