// What the docs say holds: examples that validate, links that lead somewhere, flags, metrics, paths and targets that exist.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { loadAll } from 'js-yaml';
import { afterAll, describe, expect, it } from 'vitest';
import { metricGroups } from '../scripts/metrics-reference-sources.ts';
import { flagsOf, flagTable, modes, twinOf } from '../scripts/mode-reference.ts';
import { policySection } from '../scripts/policy-reference.ts';
import { anchorsOf, codeOf, linksOf, piecesOf, slug } from '../scripts/site/markdown.ts';
import { markdownFiles, resolveLink, sitePages } from '../scripts/site/pages.ts';
import { sidebar, type Item } from '../scripts/site/sidebar.ts';
import { kinds } from '../src/api/kinds.ts';
import { validateFiles } from '../src/api/validate.ts';
import { ownArguments } from '../src/commands/epp/reference-flags.ts';
import { registry } from '../src/policies/index.ts';

const root = join(import.meta.dirname, '..');
const pages = new Map(markdownFiles(root).map((path) => [path, readFileSync(join(root, path), 'utf8')] as const));
const each = [...pages];
/** Pages for those who run it, not those who build it. */
const forUsers = each.filter(([path]) => path === 'README.md' || /^(docs\/(?!design)|config\/)/.test(path));

const folder = mkdtempSync(join(tmpdir(), 'docs-'));
afterAll(() => rmSync(folder, { recursive: true }));

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

let written = 0;
/** What `hermes-router validate` says of a text. */
function faultsOf(text: string): string[] {
  const file = join(folder, `${++written}.yaml`);
  writeFileSync(file, text);
  return validateFiles([file], { strict: false }).faults.map(
    ({ line, path, message }) => `${line}: ${path} ${message}`,
  );
}

/** What the minimal resource of a kind needs besides a fragment of its spec. */
const needed: Readonly<Record<string, Record<string, unknown>>> = {
  BackendGroup: {
    discovery: { type: 'Pods', pods: { selector: { matchLabels: { a: 'b' } }, targetPorts: [{ number: 1 }] } },
  },
  RoutingPolicy: { backendRefs: [{ name: 'a' }] },
};

/** Faults of a piece of a spec, by the kind that knows all its fields; null where it is none. */
function fragmentFaults(fragment: Record<string, unknown>): string[] | null {
  const spec = isRecord(fragment.spec) && Object.keys(fragment).length === 1 ? fragment.spec : fragment;
  const names = Object.keys(spec);
  const tries = kinds.flatMap(({ kind, schema }) => {
    const known = Object.keys(schema.properties?.spec?.properties ?? {});
    if (names.length === 0 || !names.every((name) => known.includes(name))) return [];
    const resource = {
      apiVersion: 'hermes-router.io/v1alpha1',
      kind,
      metadata: { name: 'x' },
      spec: { ...needed[kind], ...spec },
    };
    return [faultsOf(JSON.stringify(resource))];
  });
  return tries.length === 0 ? null : (tries.find((faults) => faults.length === 0) ?? tries[0]);
}

describe('examples in YAML', () => {
  const blocks = each.flatMap(([path, page]) =>
    piecesOf(page)
      .filter(({ language }) => language === 'yaml')
      .map(({ text, line }) => [`${path}:${line}`, text] as const),
  );

  it('are many', () => expect(blocks.length).toBeGreaterThan(60));

  it.each(blocks)('%s are read, and pass `validate` where they are ours', (_place, text) => {
    const documents: unknown[] = loadAll(text);
    const whole = documents.some(
      (document) =>
        isRecord(document) &&
        (typeof document.apiVersion === 'string' || 'app' in document || 'inferencepool' in document),
    );
    if (whole) expect(faultsOf(text)).toEqual([]);
    else for (const document of documents.filter(isRecord)) expect(fragmentFaults(document) ?? []).toEqual([]);
  });
});

describe('links', () => {
  it.each(each)('of %s lead to files and anchors that are there', (path, page) => {
    const dead = linksOf(page).filter(({ target }) => {
      const found = resolveLink(path, target);
      if (found === null) return false;
      if (!existsSync(join(root, found.path))) return true;
      const other = pages.get(found.path);
      return found.anchor !== '' && !(other !== undefined && anchorsOf(other).includes(found.anchor));
    });
    expect(dead.map(({ target, line }) => `${path}:${line}: ${target}`)).toEqual([]);
  });
});

describe('flags', () => {
  const own = new Map(
    modes.map(({ command, usage }) => [
      command,
      new Set(flagsOf(usage).flatMap(({ flags }) => flags.map(({ name }) => name))).add('help'),
    ]),
  );
  const anyOwn = new Set([...own.values()].flatMap((names) => [...names]));
  /** Of other programs: engines, kubectl, helm, package managers, other routers. */
  const foreign = new Set(
    // vLLM
    (
      'otlp-traces-endpoint enable-prefix-caching kv-events-config enable-prompt-tokens-details enable-lora max-loras kv-transfer-config prefix-caching-hash-algo ' +
      // Helm, kubectl, container engines, git and the like
      'set install generate generate-name take-ownership server-side list as prefix previous tail push platform quick check ' +
      // the tools of this project
      'workload scenario only seeds speed-up expose-gc project coverage'
    ).split(' '),
  );
  /** The page about another router's flags. */
  const elsewhere = 'docs/guides/from-production-stack.md';

  /** Whether the picker knows it as a flag of the reference, taken or refused with a sentence. */
  function isReference(name: string): boolean {
    try {
      return !ownArguments([`--${name}=8000`]).argv.includes(`--${name}=8000`);
    } catch {
      return true;
    }
  }

  it.each(forUsers.filter(([path]) => path !== elsewhere))('named on %s are there', (path, page) => {
    const unknown = codeOf(page)
      .filter(({ language }) => language === undefined)
      .flatMap(({ text, line }) =>
        [...text.matchAll(/(?<![\w-])--([a-z][a-z0-9-]*[a-z0-9])(?![a-z0-9-]*[*…])/g)]
          .map(([, name]) => name)
          .filter((name) => !anyOwn.has(name) && !foreign.has(name) && !isReference(name))
          .map((name) => `${path}:${line}: --${name}`),
      );
    expect(unknown).toEqual([]);
  });

  it.each(forUsers)('in commands on %s are those of the command', (path, page) => {
    const unknown = codeOf(page).flatMap(({ text, line }) =>
      text.split('\n').flatMap((words, index) => {
        const found = /(?:^|[\s/])hermes-router ([a-z][a-z-]*)((?: [^#&|;]*)?)/.exec(words);
        if (found === null) return [];
        const flags = own.get(found[1]);
        if (flags === undefined) return [];
        return [...found[2].matchAll(/ --([a-z-]+)/g)]
          .map(([, name]) => name)
          .filter((name) => !flags.has(name) && !(found[1] === 'epp' && isReference(name)))
          .map((name) => `${path}:${line + index}: ${found[1]} --${name}`);
      }),
    );
    expect(unknown).toEqual([]);
  });

  it('have the environment twins that are named', () => {
    const twins = new Set([...anyOwn].map(twinOf));
    const unknown = forUsers.flatMap(([path, page]) =>
      [...page.matchAll(/\bHERMES_[A-Z_]+\b/g)]
        .map(([name]) => name)
        .filter((name) => !twins.has(name))
        .map((name) => `${path}: ${name}`),
    );
    expect(unknown).toEqual([]);
  });
});

describe('metrics', () => {
  const known = metricGroups().flatMap(({ metrics }) => metrics.map(({ name }) => name));
  const names = /\b(?:hermes|inference_(?:objective|pool|extension))_[a-z0-9_]*[a-z0-9]\b(?!\*|_\*|=)/g;
  const isKnown = (name: string): boolean =>
    known.includes(name) || known.includes(name.replace(/_(bucket|sum|count)$/, ''));
  const beginsOne = (name: string): boolean => known.some((whole) => whole.startsWith(`${name}_`));

  it.each(forUsers)('named on %s are there', (path, page) => {
    const unknown = page
      .split('\n')
      .flatMap((line) =>
        [...line.matchAll(names)]
          .map(([name]) => name)
          .filter((name) => !isKnown(name) && !(line.includes('grep') && beginsOne(name))),
      );
    expect(unknown.map((name) => `${path}: ${name}`)).toEqual([]);
  });
});

describe('paths and targets', () => {
  const places =
    /(?<![\w./-])(?:\.\/)?((?:bench|bin|charts|config|crds|docs|examples|scripts|src|test)\/[\w./-]*[\w/])(?![\w*…]|\.\*)/g;
  /** The example of what a contributor may add, and a path of another project. */
  const elsewhere =
    /^(src\/policies\/scorers\/running\.|docs\/policies\/scorer-running\.md|examples\/disaggregated_prefill_v1)/;

  /** Whether there is such a file, or one whose name begins so, as runners of tests are told. */
  const exists = (path: string): boolean =>
    existsSync(path) ||
    (existsSync(dirname(path)) && readdirSync(dirname(path)).some((name) => name.startsWith(basename(path))));

  it.each(each)('that code on %s names exist', (path, page) => {
    const missing = codeOf(page)
      .filter(({ language }) => language === undefined || language === '' || language === 'sh')
      .flatMap(({ text, line }) =>
        [...text.matchAll(places)]
          .map(([, place]) => place)
          .filter((place) => !elsewhere.test(place) && !/\/[A-Z]+(\/|$)/.test(place))
          .filter((place) => !exists(join(root, place)) && !exists(join(root, dirname(path), place)))
          .map((place) => `${path}:${line}: ${place}`),
      );
    expect(missing).toEqual([]);
  });

  it('of make are in the Makefile', () => {
    const targets = new Set(
      [...readFileSync(join(root, 'Makefile'), 'utf8').matchAll(/^([a-z0-9-]+):/gm)].map(([, name]) => name),
    );
    const missing = each.flatMap(([path, page]) =>
      codeOf(page).flatMap(({ text }) =>
        [...text.matchAll(/(?:^|\n)make ([a-z][a-z0-9-]*)/g)]
          .map(([, name]) => name)
          .filter((name) => !targets.has(name))
          .map((name) => `${path}: make ${name}`),
      ),
    );
    expect(missing).toEqual([]);
  });
});

describe('a curl that sends a body', () => {
  const commands = each.flatMap(([path, page]) =>
    codeOf(page)
      .filter(({ language }) => language === '' || language === 'sh')
      .flatMap(({ text }) => text.replaceAll('\\\n', ' ').split('\n'))
      .filter((command) => /\bcurl\b.* -d /.test(command) && !command.includes('/sim/'))
      .map((command) => [path, command] as const),
  );
  it.each(commands)('on %s says that it is JSON', (_path, command) => {
    expect(command).toMatch(/content-type: application\/json/i);
  });
});

describe('a page of a policy', () => {
  const all = Object.values(registry).flatMap((kind) => [...kind.values()]);
  it.each(all.map((definition) => [definition.type, definition] as const))(
    '%s has what is written and what is generated',
    (type, definition) => {
      const page = pages.get(`docs/policies/${type}.md`) ?? '';
      for (const heading of ['Formula', 'When to use', 'What it needs', 'Parameters', 'Example', 'Source'])
        expect(page).toMatch(new RegExp(`^## ${heading}\\n\\n[^#]`, 'm'));
      expect(page).toContain(policySection(definition));
      expect(pages.get('docs/policies/README.md')).toContain(`](${type}.md)`);
    },
  );
});

describe('a page of a mode', () => {
  const commands = [...readFileSync(join(root, 'src/main.ts'), 'utf8').matchAll(/^ {2}'?([a-z-]+)'?: \{$/gm)].map(
    ([, name]) => name,
  );
  it('is there for every command', () => expect(modes.map(({ command }) => command).sort()).toEqual(commands.sort()));

  it.each(modes.map((mode) => [mode.command, mode] as const))(
    '%s has its flags and what people ask first',
    (command, mode) => {
      const page = pages.get(`docs/modes/${command}.md`) ?? '';
      expect(page).toContain(flagTable(mode));
      expect(pages.get('docs/modes/README.md')).toContain(`](${command}.md)`);
      if (mode.defaults === undefined) return;
      for (const heading of ['Smallest example', 'Ports', 'Rights', 'At SIGTERM', 'Flags', 'Limits', 'Further'])
        expect(page).toMatch(new RegExp(`^## ${heading}$`, 'm'));
    },
  );
});

describe('the sidebar of the site', () => {
  const linksIn = (items: readonly Item[]): string[] =>
    items.flatMap(({ link, items: inner = [] }) => [...(link === undefined ? [] : [link]), ...linksIn(inner)]);

  it('has every page of docs once, in a section', () => {
    const found = sitePages(root);
    const items = sidebar(found);
    expect(items.map(({ text }) => text)).toEqual(
      expect.arrayContaining(['Start', 'Guides', 'Modes', 'Policies', 'Reference', 'Run-books', 'Design']),
    );
    const links = linksIn(items);
    expect(new Set(links).size).toBe(links.length);
    const wanted = found.filter(({ source }) => source.startsWith('docs/') && source.endsWith('.md'));
    for (const { path } of wanted)
      expect(links).toContain(`/${path.replace(/(^|\/)index\.md$/, '$1').replace(/\.md$/, '')}`);
  });
});

describe('Markdown', () => {
  it.each([
    ['The leader: pd-proxy', 'the-leader-pd-proxy'],
    ['`/match_sort` and more', 'match_sort-and-more'],
    ['Kubernetes 1.30, or newer', 'kubernetes-130-or-newer'],
  ])('has for the heading %s the anchor %s', (heading, anchor) => {
    expect(anchorsOf(`## ${heading}`)).toEqual([anchor]);
    expect(slug(heading.replaceAll('`', ''))).toBe(anchor);
  });

  it('counts equal headings', () => expect(anchorsOf('# A\n\n## B\n\n## B\n')).toEqual(['a', 'b', 'b-1']));

  it('has no links or headings in code', () => {
    const page = '# A\n\n```sh\n# B\n[x](y.md)\n```\n\n[z](z.md), over\n[two\nlines](w.md#v)\n';
    expect(anchorsOf(page)).toEqual(['a']);
    expect(linksOf(page)).toEqual([
      { target: 'z.md', line: 8 },
      { target: 'w.md#v', line: 9 },
    ]);
  });
});
