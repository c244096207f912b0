import { afterEach, describe, expect, it } from 'vitest';
import type { Registry } from 'prom-client';
import { createMetrics, type GaugeSource } from './metrics.ts';
import { Traffic } from './traffic.ts';

interface Family {
  readonly help: string;
  readonly type: string;
  readonly samples: { readonly name: string; readonly labels: Record<string, string>; readonly value: number }[];
}

let registry: Registry | null = null;

afterEach(() => {
  registry = null;
});

const labelText = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)",?/g;
const sampleLine =
  /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)$/;

/** Reads Prometheus's text format strictly: every line must be what the format allows, and stand with its family. */
function parse(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  let help: [string, string] | null = null;
  let current = '';
  expect(text.endsWith('\n')).toBe(true);
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const [, kind, name, rest] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (kind === 'HELP') help = [name, rest];
    else if (kind === 'TYPE') {
      expect(help?.[0]).toBe(name);
      expect(families.has(name), `${name} stands there twice`).toBe(false);
      families.set(name, { help: help?.[1] ?? '', type: rest, samples: [] });
      current = name;
    } else {
      const found = sampleLine.exec(line);
      if (found === null) throw new Error(`no sample: ${line}`);
      const family = families.get(current);
      const suffix = found[1].slice(current.length);
      const suffixes = family?.type === 'histogram' ? ['_bucket', '_sum', '_count'] : family?.type === 'summary' ? ['', '_sum', '_count'] : ['']; // prettier-ignore
      expect(found[1].startsWith(current) && suffixes.includes(suffix), line).toBe(true);
      const labels = Object.fromEntries([...(found[2] ?? '').matchAll(labelText)].map((one) => [one[1], one[2]]));
      family?.samples.push({ name: found[1], labels, value: Number(found[3]) });
    }
  }
  return families;
}

async function exposed(traffic: Traffic, gauges: readonly GaugeSource[] = []): Promise<Map<string, Family>> {
  registry = createMetrics(traffic.families(), gauges);
  return parse(await registry.metrics());
}

function busy(): Traffic {
  const traffic = new Traffic(() => 1);
  for (const key of ['ns/a', 'ns/b']) {
    for (const status of [200, 404, 502]) {
      traffic.policy(key).started();
      traffic.policy(key).finished({
        group: 'g', status, broken: false, duration: 1500, timeToFirstToken: 20, decisionMicroseconds: 9,
        estimatedTokens: 10, estimatedCached: 5, promptTokens: 12, completionTokens: 4, cachedTokens: 8,
      }); // prettier-ignore
    }
    traffic.policy(key).stageEnded('decode', 'ok');
  }
  traffic.refused(404);
  return traffic;
}

describe('createMetrics', () => {
  it('writes what Prometheus reads, of every family', async () => {
    const traffic = busy();
    const families = await exposed(traffic);
    for (const { name, type, help } of traffic.families()) {
      expect(families.get(name), name).toMatchObject({ type, help });
      expect(families.get(name)?.samples.length, name).toBeGreaterThan(0);
    }
    expect(families.get('hermes_requests_total')?.samples).toContainEqual({
      name: 'hermes_requests_total',
      labels: { policy: 'ns/a', group: 'g', code: '4xx' },
      value: 1,
    });
  });

  it('names counters and units as Prometheus asks', async () => {
    for (const [name, { type, samples }] of await exposed(busy())) {
      if (!name.startsWith('hermes_')) continue;
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      for (const { value } of samples) expect(Number.isFinite(value), name).toBe(true);
    }
  });

  it('writes histograms whose buckets grow and end with the count', async () => {
    const families = [...(await exposed(busy())).values()].filter(({ type }) => type === 'histogram');
    const ours = families.filter(({ samples }) => samples[0]?.name.startsWith('hermes_'));
    expect(ours.length).toBe(4);
    for (const { samples } of ours) {
      const first = samples.filter(({ labels }) => labels.policy === 'ns/a');
      const buckets = first.filter(({ name }) => name.endsWith('_bucket'));
      const bounds = buckets.map(({ labels }) => (labels.le === '+Inf' ? Infinity : Number(labels.le)));
      expect(bounds).toEqual([...bounds].sort((a, b) => a - b));
      const values = buckets.map(({ value }) => value);
      expect(values).toEqual([...values].sort((a, b) => a - b));
      expect(first.find(({ name }) => name.endsWith('_count'))?.value).toBe(values.at(-1));
    }
  });

  it('takes a number whose name ends in _total for a counter', async () => {
    const source = (name: string): GaugeSource => ({ name, help: 'A test.', read: () => [{ value: 5 }] });
    const families = await exposed(new Traffic(() => 1), [source('hermes_a_total'), source('hermes_b')]);
    expect(families.get('hermes_a_total')).toMatchObject({ type: 'counter', samples: [{ labels: {}, value: 5 }] });
    expect(families.get('hermes_b')).toMatchObject({ type: 'gauge' });
  });

  it('reads gauges when they are asked for, and forgets labels that are gone', async () => {
    let groups = ['a', 'b"\\\n'];
    const source: GaugeSource = {
      name: 'hermes_test',
      help: 'A test.',
      read: () => groups.map((group, i) => ({ labels: { group }, value: i })),
    };
    const first = await exposed(new Traffic(() => 1), [source]);
    expect(first.get('hermes_test')?.samples.map(({ labels }) => labels.group)).toEqual(['a', 'b\\"\\\\\\n']);
    groups = ['c'];
    const second = parse((await registry?.metrics()) ?? '');
    expect(second.get('hermes_test')?.samples).toMatchObject([{ labels: { group: 'c' }, value: 0 }]);
  });

  it('says nothing of policies before there are any', async () => {
    const families = await exposed(new Traffic(() => 1));
    expect(families.get('hermes_requests_total')?.samples).toEqual([]);
    expect(families.has('process_cpu_seconds_total')).toBe(true);
  });
});
