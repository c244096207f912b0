// The site as `make site` builds it: whole, readable without a network, and what a browser makes of it.
import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { extname, join, posix } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser, chromiumPath } from './testkit/chromium.ts';
import { until } from './testkit/until.ts';

const root = join(import.meta.dirname, '../..');
const site = join(root, '.cache/site');
const chromium = chromiumPath();

let pages: ReadonlyMap<string, string>;
beforeAll(async () => {
  await promisify(execFile)('make', ['--no-print-directory', 'site'], { cwd: root, maxBuffer: 16 * 1024 ** 2 });
  pages = new Map(
    globSync('**/*.html', { cwd: site }).map((path) => [path, readFileSync(join(site, path), 'utf8')] as const),
  );
}, 300_000);

const attribute = (html: string, name: string): string[] =>
  [...html.matchAll(new RegExp(`<[a-z][^>]*? ${name}="([^"]*)"`, 'g'))].map(([, value]) =>
    value.replaceAll('&amp;', '&'),
  );

/** The file that a link of a page means, and the anchor in it. */
function target(from: string, link: string): { readonly path: string; readonly anchor: string } {
  const [written, anchor = ''] = link.split('#', 2);
  const path = written.startsWith('/') ? written.slice(1) : posix.join(posix.dirname(from), written);
  if (written === '') return { path: from, anchor };
  return { path: path === '' || path === '.' || path.endsWith('/') ? posix.join(path, 'index.html') : path, anchor };
}

describe('the site', () => {
  it('has the README as its first page, and a page for all of docs', () => {
    expect(pages.get('index.html')).toContain('<h1 id="hermes-router"');
    for (const path of globSync('docs/**/*.md', { cwd: root })) {
      const page = path
        .replace(/^docs\//, '')
        .replace(/README\.md$/, 'index.md')
        .replace(/\.md$/, '.html');
      expect([...pages.keys()], path).toContain(page);
    }
  });

  it('has no link to a page or an anchor that is not there', () => {
    const anchors = new Map([...pages].map(([path, html]) => [path, new Set(attribute(html, 'id'))] as const));
    const dead: string[] = [];
    for (const [path, html] of pages) {
      for (const link of attribute(html, 'href').filter((href) => !/^[a-z]+:/.test(href))) {
        const { path: to, anchor } = target(path, link);
        const known = anchors.get(to);
        const isFile = known !== undefined || globSync(to, { cwd: site }).length > 0;
        // The page that says that there is no page has no address of its own.
        const isThere = isFile && (anchor === '' || known?.has(decodeURIComponent(anchor)) === true);
        if (!isThere && path !== '404.html') dead.push(`${path}: ${link}`);
      }
    }
    expect(dead).toEqual([]);
  });

  it('names nothing outside of itself that a browser would load', () => {
    const foreign: string[] = [];
    for (const [path, html] of pages) {
      const loaded = [
        ...attribute(html, 'src'),
        ...[...html.matchAll(/<link [^>]*href="([^"]*)"/g)].map(([, href]) => href),
      ];
      foreign.push(...loaded.filter((url) => /^([a-z]+:)?\/\//.test(url)).map((url) => `${path}: ${url}`));
    }
    expect(foreign).toEqual([]);
  });
});

/** Pages of which many are of one make: their first one stands for all. */
const alike = /^(project\/files|policies|runbooks|design)\/(?!index|0001|Auto)/;

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.woff2': 'font/woff2',
};

describe.skipIf(chromium === null)('the site in Chromium (skipped where none is installed; Debian: chromium)', () => {
  let server: Server;
  let browser: Browser;
  let address: string;
  beforeAll(async () => {
    server = createServer((request, response) => {
      const path = decodeURIComponent(new URL(request.url ?? '/', 'http://site').pathname);
      const file = path.endsWith('/') ? `${path}index.html` : path;
      const body = globSync(`.${file}`, { cwd: site }).length > 0 ? readFileSync(join(site, file)) : undefined;
      response.writeHead(body === undefined ? 404 : 200, { 'content-type': types[extname(file)] ?? 'text/plain' });
      response.end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const at = server.address();
    address = `http://127.0.0.1:${typeof at === 'object' ? (at?.port ?? 0) : 0}`;
    browser = await Browser.start(chromium ?? '');
  });
  afterAll(async () => {
    await browser.close();
    server.close();
  });

  const width = (pixels: number) =>
    browser.send('Emulation.setDeviceMetricsOverride', {
      width: pixels,
      height: 900,
      deviceScaleFactor: 1,
      mobile: pixels < 600,
    });

  it(
    'shows every page of prose on a phone without an error and without a page wider than the screen',
    { timeout: 300_000 },
    async () => {
      await width(390);
      const wide: string[] = [];
      for (const path of [...pages.keys()].filter((page) => !alike.test(page))) {
        await browser.open(`${address}/${path}`);
        const pixels = await browser.evaluate('document.documentElement.scrollWidth');
        if (Number(pixels) > 390) wide.push(`${path}: ${String(pixels)}`);
      }
      expect(wide).toEqual([]);
      expect(browser.errors).toEqual([]);
      expect(browser.requests.filter((url) => !url.startsWith(address) && !url.startsWith('data:'))).toEqual([]);
    },
  );

  it('finds what is searched for', async () => {
    await width(1400);
    await browser.open(`${address}/index.html`);
    await until('the search', async () => {
      await browser.evaluate(`document.querySelector('.DocSearch-Button')?.click()`);
      return (await browser.evaluate(`document.querySelector('#localsearch-input') !== null`)) === true;
    });
    await browser.evaluate(`(() => {
      const input = document.querySelector('#localsearch-input');
      input.value = 'Rendezvous';
      input.dispatchEvent(new Event('input', { bubbles: true }));
    })()`);
    await until('the page in the list', async () => {
      const links = await browser.evaluate(
        `[...document.querySelectorAll('#localsearch-list a')].map((a) => a.pathname).join(' ')`,
      );
      return String(links).includes('/policies/scorer-session-affinity');
    });
    expect(browser.errors).toEqual([]);
  });

  it('is dark where the reader wants it dark', async () => {
    for (const [value, dark] of [
      ['dark', true],
      ['light', false],
    ] as const) {
      await browser.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value }] });
      await browser.open(`${address}/policies/KVAware.html`);
      expect(await browser.evaluate(`document.documentElement.classList.contains('dark')`)).toBe(dark);
    }
  });
});
