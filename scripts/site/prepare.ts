// Writes what VitePress builds the site from: pages, configuration and looks, below the folder that is named.
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sitePages } from './pages.ts';
import { sidebar, type Item } from './sidebar.ts';

const root = join(import.meta.dirname, '../..');

/** The configuration of VitePress as a module; only `slugify` is more than data. */
function configuration(items: readonly Item[], outDir: string): string {
  const config = {
    title: 'hermes-router',
    description: 'A router for people who serve language models on Kubernetes',
    lang: 'en',
    // No icon: a browser would ask for one otherwise.
    head: [['link', { rel: 'icon', href: 'data:,' }]],
    outDir,
    cacheDir: join(root, '.cache/site-cache'),
    themeConfig: {
      search: { provider: 'local' },
      outline: [2, 3],
      sidebar: items,
      nav: [
        { text: 'Install', link: '/guides/install' },
        { text: 'Policies', link: '/policies/' },
        { text: 'Reference', link: '/reference/routingpolicy' },
        { text: 'Trouble-shooting', link: '/guides/trouble-shooting' },
      ],
    },
  };
  return `import { slug } from ${JSON.stringify(join(import.meta.dirname, 'markdown.ts'))};

export default { ...${JSON.stringify(config, null, 2)}, markdown: { linkify: false, anchor: { slugify: slug } } };
`;
}

const theme = `import DefaultTheme from 'vitepress/theme';
import './style.css';

export default DefaultTheme;
`;

function main(folder: string, outDir: string): void {
  const pages = sitePages(root);
  rmSync(folder, { recursive: true, force: true });
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  for (const { path, text } of pages) write(path, text);
  write('.vitepress/config.mjs', configuration(sidebar(pages), outDir));
  write('.vitepress/theme/index.js', theme);
  write('.vitepress/theme/style.css', readFileSync(join(root, 'site/style.css'), 'utf8'));
  // Modules are looked for from the pages upward.
  symlinkSync(join(root, 'site/node_modules'), join(folder, 'node_modules'));
  console.log(`${pages.length} pages`);
}

main(join(root, '.cache/site-pages'), process.argv[2] ?? join(root, '.cache/site'));
