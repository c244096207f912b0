// What is written for people who are woken at night holds together: metrics that exist, pages that are there.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { metricGroups, type Metric } from '../scripts/metrics-reference-sources.ts';
import { metricsPage } from '../scripts/metrics-reference.ts';

const root = join(import.meta.dirname, '..');
const folder = join(root, 'config/monitoring');
const runbooks = join(root, 'docs/runbooks');
const text = (path: string): string => readFileSync(join(root, path), 'utf8');

interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}
interface RuleObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: { readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[] };
}
interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly datasource?: { readonly uid: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly refId: string; readonly expr: string }[];
}
interface Dashboard {
  readonly schemaVersion: number;
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string; query: unknown }[] };
}

const ruleObject = load(text('config/monitoring/prometheusrule.yaml')) as RuleObject;
const rules = ruleObject.spec.groups.flatMap((group) => group.rules);
const alerts = rules.filter(({ alert }) => alert !== undefined);
const dashboard = JSON.parse(text('config/monitoring/dashboard.json')) as Dashboard;
const panels = dashboard.panels.filter(({ type }) => type !== 'row');

/** Every expression, by what it stands in. */
const expressions: readonly (readonly [string, string])[] = [
  ...rules.map(({ alert, record, expr }) => [alert ?? record ?? '', expr] as const),
  ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const)),
];

const known = new Map<string, Metric>(
  metricGroups().flatMap(({ metrics }) => metrics.map((metric) => [metric.name, metric] as const)),
);
const ownOfProcess = new Registry();
collectDefaultMetrics({ register: ownOfProcess });
const processNames = new Set(ownOfProcess.getMetricsAsArray().map(({ name }) => name));
ownOfProcess.clear();
const recorded = new Set(rules.flatMap(({ record }) => record ?? []));
/** What Prometheus adds to each sample when it scrapes. */
const scrapeLabels = ['namespace', 'job', 'pod', 'instance', 'container', 'endpoint', '__name__'];

const metricName = /\b(?:hermes|inference|process|nodejs)_[a-z0-9_]+\b/g;

/** A metric's family: of a histogram without what its samples add. */
function familyOf(name: string): Metric | undefined {
  const base = name.replace(/_(bucket|sum|count)$/, '');
  const histogram = known.get(base);
  return histogram?.type === 'histogram' && base !== name ? histogram : known.get(name);
}

/** With the expressions of the recorded ones that it names. */
const whole = (expr: string): string =>
  [expr, ...rules.filter(({ record }) => record !== undefined && expr.includes(record)).map((rule) => rule.expr)].join(
    ' ',
  );

/** Without what stands in quotes, so that no bracket of a pattern counts. */
const unquoted = (expr: string): string => expr.replace(/"(?:[^"\\]|\\.)*"/g, '""');

function unbalanced(expr: string): string {
  const closing: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };
  const open: string[] = [];
  for (const c of unquoted(expr)) {
    if (c in closing) open.push(closing[c]);
    else if (')]}'.includes(c) && open.pop() !== c) return `${c} closes nothing`;
  }
  return open.length === 0 ? '' : `${open.at(-1)} is missing`;
}

describe.each(expressions)('the expression of %s', (_where, expr) => {
  it('names metrics that exist, and histograms by what they have', () => {
    for (const [name] of unquoted(expr).matchAll(metricName)) {
      if (processNames.has(name)) continue;
      const family = familyOf(name);
      expect(family, name).toBeDefined();
      expect(name !== family?.name, `${name}: a histogram has _bucket, _sum and _count`).toBe(
        family?.type === 'histogram',
      );
    }
    for (const [name] of expr.matchAll(/\bhermes:[a-z0-9_:]+/g)) expect(recorded, name).toContain(name);
  });

  it('asks for labels that they have', () => {
    for (const [, name, matchers] of expr.matchAll(/\b((?:hermes|inference)_[a-z0-9_]+)\{((?:[^"}]|"[^"]*")*)\}/g)) {
      const labels = [...(familyOf(name)?.labels ?? []), ...scrapeLabels];
      for (const [, label] of matchers.matchAll(/([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)\s*"/g))
        expect(labels, `${name} by ${label}`).toContain(label);
    }
    const families = [...unquoted(expr).matchAll(metricName)].flatMap(([name]) => familyOf(name) ?? []);
    const labels = [...families.flatMap((family) => family.labels), ...scrapeLabels, 'le'];
    for (const [, grouping] of expr.matchAll(/\bby \(([^)]*)\)/g))
      for (const label of grouping.split(',')) expect(labels).toContain(label.trim());
  });

  it('takes rates of what only grows', () => {
    for (const [, name] of expr.matchAll(/\b(?:rate|increase)\(\s*([a-z0-9_]+)/g))
      expect(name).toMatch(/_(total|bucket|sum|count)$/);
  });

  it('has brackets and quotes in pairs', () => {
    expect(unbalanced(expr)).toBe('');
    expect(expr.replace(/\\./g, '').split('"').length % 2, 'quotes in pairs').toBe(1);
    expect(expr.trim(), 'something is missing at the end').not.toMatch(/([-+*/<>=,]|\b(and|or|unless))$/);
  });
});

describe('the PrometheusRule', () => {
  it('has the shape of its CRD', () => {
    expect(ruleObject).toMatchObject({ apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule' });
    const names = ruleObject.spec.groups.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const duration = /^(0|([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$/;
    for (const rule of rules) {
      expect(Object.keys(rule), 'alert or record').toContain(rule.alert === undefined ? 'record' : 'alert');
      expect(['alert', 'record', 'expr', 'for', 'labels', 'annotations']).toEqual(
        expect.arrayContaining(Object.keys(rule)),
      );
      expect(typeof rule.expr).toBe('string');
      expect(rule.for ?? '1m').toMatch(duration);
      if (rule.record !== undefined) expect(Object.keys(rule)).toEqual(['record', 'expr']);
    }
    for (const rule of alerts)
      for (const value of [...Object.values(rule.labels ?? {}), ...Object.values(rule.annotations ?? {})])
        expect(typeof value).toBe('string');
  });

  it.each(alerts.map((rule) => [rule.alert ?? '', rule] as const))(
    '%s says what, how bad and where to read on',
    (name, rule) => {
      expect(name).toMatch(/^Hermes[A-Z][A-Za-z]+$/);
      expect(['critical', 'warning']).toContain(rule.labels?.severity);
      expect(Object.keys(rule.annotations ?? {}).sort()).toEqual(['description', 'runbook_url', 'summary']);
      expect(rule.annotations?.runbook_url).toBe(`docs/runbooks/${name}.md`);
      for (const [, label] of Object.values(rule.annotations ?? {})
        .join(' ')
        .matchAll(/\$labels\.(\w+)/g))
        expect(whole(rule.expr), `${label} in the description`).toMatch(
          label === 'pod' ? /pod|instance/ : new RegExp(label),
        );
    },
  );
});

/** Links of a page in `from` to files that are not there, or to headings that those have not. */
function deadLinks(page: string, from: string): string[] {
  const links = [...page.matchAll(/\]\(([^)#\s]*)(?:#([^)]*))?\)/g)];
  return links.flatMap(([link, file, heading]) => {
    const path = join(from, file);
    if (!existsSync(path)) return [link];
    if (heading === undefined) return [];
    const target = file === '' ? page : readFileSync(path, 'utf8');
    return headings(target).includes(heading) ? [] : [link];
  });
}

/** As they are linked to. */
function headings(page: string): string[] {
  return [...page.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title
      .toLowerCase()
      .replace(/[^a-z0-9 _-]/g, '')
      .replaceAll(' ', '-'),
  );
}

describe('run-books', () => {
  const pages = readdirSync(runbooks).filter((file) => file.endsWith('.md') && file !== 'README.md');
  const named = [...known.keys(), ...processNames];

  it('are there for every alert, and for nothing else', () => {
    expect(pages.map((file) => file.replace(/\.md$/, '')).sort()).toEqual(alerts.map(({ alert }) => alert).sort());
  });

  it.each(pages)('%s says what it means, what to look at and what to do', (file) => {
    const page = readFileSync(join(runbooks, file), 'utf8');
    expect(page.split('\n')[0]).toBe(`# ${file.replace(/\.md$/, '')}`);
    expect([...page.matchAll(/^## (.*)$/gm)].map(([, title]) => title)).toEqual(['What it means', 'Look', 'Do']);
    expect(page, 'commands to type').toMatch(/```sh\n[^]*?```/);
    expect(deadLinks(page, runbooks)).toEqual([]);
    for (const [name] of page.matchAll(metricName))
      expect(
        named.filter((one) => `${one}_`.startsWith(name.replace(/_(bucket|sum|count)$/, ''))),
        name,
      ).not.toEqual([]);
  });

  it('are all in the list', () => {
    const list = readFileSync(join(runbooks, 'README.md'), 'utf8');
    for (const { alert = '', labels } of alerts)
      expect(list).toContain(`| [${alert}](${alert}.md) | ${labels?.severity} |`);
  });
});

describe('guides', () => {
  it.each(['docs/guides/metrics.md', 'docs/guides/trouble-shooting.md', 'docs/guides/kv-awareness.md'])(
    '%s names metrics that exist',
    (path) => {
      for (const [name] of text(path).matchAll(/\b(?:hermes|inference)_[a-z0-9_]+[a-z0-9]\b(?!_?\*)/g))
        expect(familyOf(name), name).toBeDefined();
    },
  );

  it.each(['metrics.md', 'trouble-shooting.md'])('%s links to what there is', (file) => {
    expect(deadLinks(text(`docs/guides/${file}`), join(root, 'docs/guides'))).toEqual([]);
  });

  it('trouble-shooting has every code that the router answers, and every reason that asks for something', () => {
    const page = text('docs/guides/trouble-shooting.md');
    const codes = [
      ...text('docs/guides/answers.md').matchAll(/\| `([a-z_]+)`(?:, `([a-z_]+)`)?(?:, with [^|]*)? \|$/gm),
    ];
    const named = codes.flatMap(([, ...two]) => two.filter((code) => code !== undefined));
    expect(named.length).toBeGreaterThan(15);
    const status = text('docs/guides/status.md');
    const reasons = [...status.matchAll(/\| False ([A-Z]\w+)/g)].map(([, reason]) => reason);
    expect(reasons.length).toBeGreaterThan(10);
    const seen =
      page +
      readdirSync(runbooks)
        .map((name) => readFileSync(join(runbooks, name), 'utf8'))
        .join('\n');
    expect([...named, ...reasons].filter((word) => !seen.includes(`${word}\``) && !seen.includes(`\`${word}`))).toEqual(
      [],
    );
  });

  it('the reference has every metric once', () => {
    const page = metricsPage();
    expect(text('docs/reference/metrics.md')).toBe(page);
    for (const name of known.keys()) expect(page.split(`| \`${name}\` |`)).toHaveLength(2);
  });
});

describe('the dashboard', () => {
  it('lets people choose the data source, and asks nothing of another', () => {
    const variables = dashboard.templating.list.map(({ name }) => name);
    expect(variables).toEqual(['datasource', 'namespace', 'job', 'policy', 'group']);
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(39);
    for (const panel of panels) expect(panel.datasource?.uid, panel.title).toBe('${datasource}');
    for (const [, expr] of expressions)
      for (const [, name] of expr.matchAll(/\$(?!__)(\w+)/g)) expect(variables).toContain(name);
    const asked = JSON.stringify(dashboard.templating.list.map(({ query }) => query));
    for (const [name] of asked.matchAll(/\b(?:hermes|inference)_[a-z0-9_]+/g))
      expect(familyOf(name), name).toBeDefined();
  });

  it('has a row for each part of the house', () => {
    const rows = dashboard.panels.filter(({ type }) => type === 'row').map(({ title }) => title);
    const parts = ['Traffic', 'Latency', 'Placement and prefix hits', 'Engines', 'KV index', 'Hand-over', 'Operator'];
    expect(rows).toEqual(parts);
  });

  it('lays no panel on another', () => {
    const taken = new Set<string>();
    const ids = new Set(dashboard.panels.map(({ id }) => id));
    expect(ids.size).toBe(dashboard.panels.length);
    for (const { title, gridPos } of dashboard.panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x} ${y}`), title).toBe(false);
          taken.add(`${x} ${y}`);
        }
    }
  });

  it('shows each metric that an alert goes by', () => {
    const shown = expressions
      .slice(rules.length)
      .map(([, expr]) => expr)
      .join(' ');
    const names = alerts.flatMap(({ expr }) => [...unquoted(expr).matchAll(/\b(?:hermes|inference)_[a-z0-9_]+/g)]);
    const missing = new Set(names.map(([name]) => name).filter((name) => !shown.includes(name)));
    expect([...missing]).toEqual([]);
  });
});

describe('config/monitoring', () => {
  interface Kustomization {
    readonly resources: readonly string[];
    readonly configMapGenerator: readonly { readonly files: readonly string[] }[];
  }
  const kustomization = load(text('config/monitoring/kustomization.yaml')) as Kustomization;

  it('takes in every file of the folder', () => {
    const generated = kustomization.configMapGenerator.flatMap(({ files }) => files.map((file) => file.split('=')[1]));
    const listed = ['kustomization.yaml', ...kustomization.resources, ...generated];
    expect(readdirSync(folder).sort()).toEqual(listed.sort());
  });

  interface PodMonitor {
    readonly spec: {
      readonly selector: {
        readonly matchLabels?: Readonly<Record<string, string>>;
        readonly matchExpressions?: readonly { readonly key: string; readonly values: readonly string[] }[];
      };
      readonly podMetricsEndpoints: readonly { readonly port: string }[];
    };
  }
  interface Deployment {
    readonly spec: {
      readonly template: {
        readonly metadata: { readonly labels: Readonly<Record<string, string>> };
        readonly spec: { readonly containers: readonly { readonly ports: readonly { readonly name: string }[] }[] };
      };
    };
  }

  it.each([
    ['podmonitor', 'manager'],
    ['podmonitor', 'epp'],
    ['podmonitor_leaders', 'pd-proxy'],
  ])('%s.yaml scrapes the pods of config/%s, at ports that they have', (file, of) => {
    const { selector, podMetricsEndpoints } = (load(text(`config/monitoring/${file}.yaml`)) as PodMonitor).spec;
    const { template } = (load(text(`config/${of}/deployment.yaml`)) as Deployment).spec;
    const { labels } = template.metadata;
    expect(labels).toMatchObject(selector.matchLabels ?? {});
    for (const { key, values } of selector.matchExpressions ?? []) expect(values).toContain(labels[key]);
    const ports = template.spec.containers.flatMap((container) => container.ports.map(({ name }) => name));
    expect(ports).toEqual(expect.arrayContaining(podMetricsEndpoints.map(({ port }) => port)));
  });
});
