// What stands beside the pages: sections in the order in which a newcomer wants them.
import { registry } from '../../src/policies/index.ts';
import { titleOf } from './markdown.ts';
import type { Page } from './pages.ts';

/** A section of the sidebar, or a page in it. */
export interface Item {
  readonly text: string;
  readonly link?: string;
  readonly collapsed?: boolean;
  readonly items?: readonly Item[];
}

const start = ['README.md', 'docs/guides/install.md', 'docs/modes/README.md', 'docs/guides/trouble-shooting.md'];

/** Guides by what they are about; one that is not named here stands at the end. */
const guides = [
  'discovery',
  'status',
  'explain',
  'answers',
  'kv-awareness',
  'cache-indexer',
  'prefill-decode',
  'endpoint-picker',
  'endpoint-picker-config',
  'metrics',
  'tracing',
  'security',
  'sim-engine',
];

/** What users of another router read first. */
const arrivals = ['config-v25.09', 'from-v25.12', 'from-reference-picker', 'from-production-stack'];

const modes = ['serve', 'serve-files', 'epp', 'pd-proxy', 'cache-indexer', 'sim-engine', 'explain', 'validate'];

const kindsOfPolicies = [
  ['Strategies', registry.presets],
  ['Scorers', registry.scorers],
  ['Filters', registry.filters],
  ['Pickers', registry.pickers],
  ['Scorers of pairs', registry.pairScorers],
  ['Filters of pairs', registry.pairFilters],
  ['Pickers of pairs', registry.pairPickers],
  ['Handlers', registry.handlers],
] as const;

/** The sidebar for these pages; each of docs/ stands in it once. */
export function sidebar(pages: readonly Page[]): Item[] {
  const bySource = new Map(pages.map((page) => [page.source, page]));
  const item = (source: string, text?: string): Item[] => {
    const page = bySource.get(source);
    if (page === undefined) return [];
    bySource.delete(source);
    return [{ text: text ?? shortTitle(page.text), link: linkOf(page) }];
  };
  const rest = (folder: string): Item[] =>
    [...bySource.keys()]
      .filter((source) => source.startsWith(`${folder}/`) && source.endsWith('.md'))
      .sort()
      .flatMap((source) => item(source));
  const closed = (text: string, items: readonly Item[]): Item => ({ text, collapsed: true, items });
  return [
    { text: 'Start', items: start.flatMap((source, index) => item(source, index === 0 ? 'What it is' : undefined)) },
    { text: 'Coming from', items: arrivals.flatMap((name) => item(`docs/guides/${name}.md`)) },
    { text: 'Guides', items: guides.flatMap((name) => item(`docs/guides/${name}.md`)).concat(rest('docs/guides')) },
    closed('Modes', modes.flatMap((name) => item(`docs/modes/${name}.md`)).concat(rest('docs/modes'))),
    closed('Policies', [
      ...item('docs/policies/README.md', 'All of them'),
      ...kindsOfPolicies.map(([text, kind]) =>
        closed(
          text,
          [...kind.keys()].flatMap((type) => item(`docs/policies/${type}.md`)),
        ),
      ),
      ...rest('docs/policies'),
    ]),
    closed('Reference', rest('docs/reference')),
    closed('Run-books', [...item('docs/runbooks/README.md', 'All of them'), ...rest('docs/runbooks')]),
    closed('Design', rest('docs/design')),
    closed('Project', [
      ...item('CONTRIBUTING.md'),
      ...item('config/README.md'),
      ...item('bench/README.md'),
      ...rest('bench'),
      ...rest('test'),
    ]),
  ];
}

const linkOf = ({ path }: Page): string => `/${path.replace(/(^|\/)index\.md$/, '$1').replace(/\.md$/, '')}`;

/** A title without its date. */
const shortTitle = (text: string): string => titleOf(text).replace(/ \(\d{4}-\d\d-\d\d\)$/, '');
