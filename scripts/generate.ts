// Writes what follows from src/api (CRDs, reference docs, values that charts take), src/indexer/serve (its OpenAPI
// description) and config/monitoring (alerts and dashboard of the chart). With --check, exits 1 when a file is not current.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { dump } from 'js-yaml';
import { customResourceDefinition, type Json } from '../src/api/crd.ts';
import { pickerConfigPage } from '../src/api/endpoint-picker-config-reference.ts';
import { kinds } from '../src/api/kinds.ts';
import { policiesPage, resourcePage } from '../src/api/reference.ts';
import { group } from '../src/api/resource.ts';
import { openApiDocument } from '../src/indexer/serve/openapi.ts';
import manifest from '../package.json' with { type: 'json' };
import { chartSchemas } from './chart-schemas.ts';
import { metricsPage } from './metrics-reference.ts';
import { modePages } from './mode-reference.ts';
import { policyPages } from './policy-reference.ts';

const root = join(import.meta.dirname, '..');

/** Text of every generated file by its path in the project. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const kind of kinds) {
    const crd = customResourceDefinition(kind);
    const text = crdText(crd);
    files.set(`crds/${group}_${kind.plural}.yaml`, text);
    // kustomize reads no file from outside of its own folder.
    files.set(`config/crd/${group}_${kind.plural}.yaml`, text);
    files.set(`charts/hermes-router-crds/templates/${group}_${kind.plural}.yaml`, templateText(kept(crd)));
    files.set(`docs/reference/${kind.singular}.md`, resourcePage(kind));
  }
  for (const [path, text] of chartSchemas()) files.set(path, text);
  // A chart holds no file from outside of its own folder either.
  for (const name of ['prometheusrule.yaml', 'dashboard.json'])
    files.set(`charts/hermes-router/files/${name}`, readFileSync(join(root, 'config/monitoring', name), 'utf8'));
  files.set('docs/reference/policies.md', policiesPage());
  for (const [path, text] of [...modePages(), ...policyPages()]) files.set(path, text);
  files.set('docs/reference/metrics.md', metricsPage());
  files.set('docs/reference/endpoint-picker-config.md', pickerConfigPage());
  const openApi = dump(openApiDocument(manifest.version), { lineWidth: 120, noRefs: true });
  files.set(
    'docs/reference/match-sort.openapi.yaml',
    `# Generated from src/indexer/serve by scripts/generate.ts; do not edit.\n${openApi}`,
  );
  return files;
}

function crdText(crd: Json): string {
  return `# Generated from src/api by scripts/generate.ts; do not edit.\n${dump(crd, { lineWidth: 120, noRefs: true })}`;
}

/** A CRD that `helm uninstall` leaves, and with it all its objects. */
function kept(crd: Json): Json {
  const { metadata, ...rest } = crd as { readonly metadata: { readonly [key: string]: Json } };
  return { ...rest, metadata: { ...metadata, annotations: { 'helm.sh/resource-policy': 'keep' } } };
}

/** As a template of Helm, which would take two braces for an action. */
function templateText(crd: Json): string {
  const text = crdText(crd);
  if (text.includes('{{')) throw new Error('a CRD holds {{, which Helm would take for an action');
  return text;
}

/** Paths of generated files that are missing or differ. */
export function staleFiles(root: string): string[] {
  return [...generatedFiles()].filter(([path, text]) => contentOf(join(root, path)) !== text).map(([path]) => path);
}

function contentOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

function main(check: boolean): void {
  const stale = staleFiles(root);
  for (const path of stale) console.log(check ? `${path} is not current; run scripts/generate.ts` : `wrote ${path}`);
  if (check && stale.length > 0) process.exitCode = 1;
  if (check) return;
  const files = generatedFiles();
  for (const path of stale) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), files.get(path) ?? '');
  }
}

if (import.meta.main) main(process.argv.includes('--check'));
