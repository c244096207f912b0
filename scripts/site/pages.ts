// The pages of the site, made of the project's Markdown and of the files that it links to. Nothing is written here.
import { existsSync, globSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join, posix } from 'node:path';
import { linksOf, titleOf, withLinks } from './markdown.ts';

/** A page of the site. */
export interface Page {
  /** Where it lies below the site's root, such as `guides/install.md`. */
  readonly path: string;
  /** File or folder of the project that it shows. */
  readonly source: string;
  readonly text: string;
}

const markdown = ['README.md', 'CONTRIBUTING.md', 'docs/**/*.md', 'bench/**/*.md', 'config/**/*.md', 'test/**/*.md'];
const hidden = /(^|\/)node_modules\//;

/** Every Markdown file of the project at `root` that is for people to read, by its path. */
export function markdownFiles(root: string): string[] {
  return markdown.flatMap((pattern) => globSync(pattern, { cwd: root, exclude: (path) => hidden.test(path) })).sort();
}

/** Where the page of a file or folder lies on the site. */
function pathOf(source: string): string {
  const place =
    source === 'README.md' || source.startsWith('docs/') ? source.replace(/^docs\//, '') : `project/${source}`;
  if (!source.endsWith('.md')) return `project/files/${source}.md`;
  return place.replace(/(^|\/)README\.md$/, '$1index.md');
}

/** A link as written in `from`, as a path of the project and an anchor; null where it leads out of the project. */
export function resolveLink(from: string, target: string): { readonly path: string; readonly anchor: string } | null {
  if (/^[a-z]+:/.test(target)) return null;
  const [written, anchor = ''] = target.split('#', 2);
  const path = written === '' ? from : posix.join(posix.dirname(from), written);
  return { path: path.replace(/\/$/, ''), anchor };
}

const languages: Readonly<Record<string, string>> = {
  '.ts': 'ts',
  '.json': 'json',
  '.sh': 'sh',
  '.yaml': 'yaml',
  '.tpl': 'yaml',
};

/** Collects pages from the Markdown files on, following links to other files and folders. */
class Collector {
  readonly pages = new Map<string, Page>();
  private readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /** The page of a path of the project, made unless it is there. Throws where nothing is at that path. */
  add(source: string): string {
    const full = join(this.root, source);
    if (!existsSync(full)) throw new Error(`${source} does not exist`);
    if (statSync(full).isDirectory()) {
      const readme = `${source}/README.md`;
      if (existsSync(join(this.root, readme))) return this.add(readme);
      return this.make(source, () => this.listing(source));
    }
    return this.make(source, () => (source.endsWith('.md') ? this.prose(source) : this.file(source)));
  }

  private make(source: string, text: () => string): string {
    const path = pathOf(source);
    if (!this.pages.has(path)) {
      this.pages.set(path, { path, source, text: '' });
      this.pages.set(path, { path, source, text: text() });
    }
    return path;
  }

  private prose(source: string): string {
    const page = readFileSync(join(this.root, source), 'utf8');
    for (const { target, line } of linksOf(page)) {
      const found = resolveLink(source, target);
      if (found !== null && !existsSync(join(this.root, found.path)))
        throw new Error(`${source}:${line}: ${target} leads nowhere`);
    }
    return withLinks(page, (target) => this.linkTo(source, target));
  }

  private linkTo(source: string, target: string): string {
    const found = resolveLink(source, target);
    if (found === null || target.startsWith('#')) return target;
    const path = posix.relative(posix.dirname(pathOf(source)), this.add(found.path));
    return `${path.startsWith('.') ? path : `./${path}`}${found.anchor === '' ? '' : `#${found.anchor}`}`;
  }

  private file(source: string): string {
    const text = readFileSync(join(this.root, source), 'utf8').trimEnd();
    const language = languages[extname(source)] ?? 'text';
    return `---\nsearch: false\noutline: false\n---\n\n# ${source}\n\n\`\`\`\`${language}\n${text}\n\`\`\`\`\n`;
  }

  private listing(source: string): string {
    const rows = readdirSync(join(this.root, source), { withFileTypes: true })
      .filter(({ name }) => !name.startsWith('.') && name !== 'node_modules')
      .map((entry) => {
        const path = `${source}/${entry.name}`;
        const label = path.endsWith('.md') ? titleOf(readFileSync(join(this.root, path), 'utf8')) : `\`${entry.name}\``;
        return `- [${label}](${posix.relative(posix.dirname(pathOf(source)), this.add(path))})`;
      });
    return `---\nsearch: false\noutline: false\n---\n\n# ${source}\n\n${rows.join('\n')}\n`;
  }
}

/** Every page of the site of the project at `root`. Throws for a link to a file that is not there. */
export function sitePages(root: string): Page[] {
  const collector = new Collector(root);
  for (const source of markdownFiles(root)) collector.add(source);
  return [...collector.pages.values()];
}
