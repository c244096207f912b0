import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { dump, loadAll } from 'js-yaml';
import { mustRun } from '../kit/command.ts';
import type { Cluster } from '../kit/index.ts';

/** Where CRDs of others are published: Go modules, each with the files and the kinds that our charts make. */
const published = [
  { module: 'sigs.k8s.io/gateway-api@v1.6.3', folder: 'config/crd/standard', kinds: ['Gateway', 'HTTPRoute'] },
  {
    module: 'sigs.k8s.io/gateway-api-inference-extension@v1.2.0',
    folder: 'config/crd/bases',
    kinds: ['InferencePool'],
    group: 'inference.networking.k8s.io',
  },
  { module: 'istio.io/api@v1.28.0', folder: 'kubernetes', kinds: ['DestinationRule'] },
] as const;

/** The Prometheus operator's module with the CRDs is not to be had everywhere. */
const monitoring = join(import.meta.dirname, '../crds/monitoring.yaml');

interface Crd {
  readonly metadata: { readonly name: string };
  /** Of a CRD; other documents of the files have other ones. */
  readonly spec?: { readonly group?: string; readonly names?: { readonly kind: string } };
}

/**
 * Installs the whole CRDs of the Gateway API, of the Inference Extension's InferencePool, of Istio's DestinationRule and of the
 * Prometheus operator's monitors and rules, and waits until they are served. In somebody's cluster what is there stays as it is.
 * Needs Go.
 */
export async function installGatewayCrds(cluster: Cluster): Promise<void> {
  const all = await gatewayCrds();
  const there = cluster.access.own === null ? await cluster.mustKubectl(['get', 'crd', '-o', 'name']) : '';
  const crds = all.filter(({ metadata }) => !there.includes(`/${metadata.name}\n`));
  if (crds.length === 0) return;
  await cluster.mustKubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], {
    stdin: crds.map((crd) => dump(crd)).join('---\n'),
  });
  const names = crds.map(({ metadata }) => metadata.name);
  await cluster.mustKubectl(['wait', '--for=condition=Established', '--timeout=60s', 'crd', ...names]);
}

/** All of them; what Go has fetched once it needs no network for. */
export async function gatewayCrds(): Promise<readonly Crd[]> {
  return [...(await Promise.all(published.map(crdsOf))).flat(), ...crdsIn(monitoring)];
}

async function crdsOf(source: (typeof published)[number]): Promise<Crd[]> {
  const env = { ...process.env, GOFLAGS: '-mod=mod' };
  const { Dir } = JSON.parse(await mustRun('go', ['mod', 'download', '-json', source.module], { env })) as {
    Dir: string;
  };
  const folder = join(Dir, source.folder);
  const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
  const kinds: readonly string[] = source.kinds;
  return files
    .flatMap((name) => crdsIn(join(folder, name)))
    .filter(
      ({ spec }) => kinds.includes(spec?.names?.kind ?? '') && (!('group' in source) || spec?.group === source.group),
    );
}

const crdsIn = (file: string): Crd[] =>
  (loadAll(readFileSync(file, 'utf8')) as (Crd | null)[]).filter((document) => document !== null);
