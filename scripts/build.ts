// Makes dist/: the program as JavaScript, for places where Node strips no types (under node_modules, in the image). Every
// module that src/main.ts reaches, and nothing else; types become blanks, so that lines and columns stay those of src.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join, relative } from 'node:path';

const root = join(import.meta.dirname, '..');

/** What is started, by where it lies in dist/: the command, and in the image what starts it with the right flags. */
const entries: Readonly<Record<string, string>> = { 'src/main.ts': 'main.js', 'scripts/image/launch.ts': 'launch.js' };

/** Files that no import names: threads, by the module that starts them. */
const threads: Readonly<Record<string, readonly string[]>> = {
  'src/indexer/tokens/local-renderer.ts': ['./local-worker.ts'],
};

const specifier = /(\b(?:from|import)\s*\(?\s*)(['"])(\.{1,2}\/[^'"\n]+)\.ts\2/g;

/** Text of every file of dist/ by its path there. */
export function builtFiles(): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  const waiting = Object.keys(entries);
  const seen = new Set(waiting);
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const script = stripTypeScriptTypes(readFileSync(join(root, path), 'utf8'));
    files.set(builtPath(path), script.replace(specifier, '$1$2$3.js$2'));
    for (const next of reached(path, script)) {
      if (!seen.has(next)) waiting.push(next);
      seen.add(next);
    }
  }
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** As in src, one folder deep: package.json is where its importers look for it. */
const builtPath = (path: string): string => entries[path] ?? path.replace(/^src\//, '').replace(/\.ts$/, '.js');

/** Modules of the project that a module imports, after its types are gone. */
function reached(path: string, script: string): string[] {
  const named = [...script.matchAll(specifier)].map((match) => `${match[3]}.ts`);
  return [...named, ...(threads[path] ?? [])].map((name) => relative(root, join(root, dirname(path), name)));
}

/** Writes dist/ anew below `folder`. */
export function build(folder: string): void {
  const dist = join(folder, 'dist');
  rmSync(dist, { recursive: true, force: true });
  for (const [path, text] of builtFiles()) {
    mkdirSync(dirname(join(dist, path)), { recursive: true });
    writeFileSync(join(dist, path), text);
  }
}

if (import.meta.main) build(root);
