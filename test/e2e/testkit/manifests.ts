import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A manifest as its author thinks of it. */
export type Document = Readonly<Record<string, unknown>>;

const apiVersion = 'hermes-router.io/v1alpha1';

/** A group of engines at fixed addresses, which are named e1, e2 …; scraped and probed often, so that tests wait little. */
export function group(name: string, addresses: readonly string[], spec: Document = {}): Document {
  const endpoints = addresses.map((address, i) => ({ name: `e${i + 1}`, address }));
  return {
    apiVersion,
    kind: 'BackendGroup',
    metadata: { name },
    spec: {
      models: [name],
      discovery: { type: 'Static', static: { endpoints } },
      metrics: { interval: '200ms' },
      health: { interval: '300ms', failures: 2, successes: 1, passive: { ejectFor: '1s' } },
      ...spec,
    },
  };
}

/** A policy for the model of the group of the same name. */
export function policy(name: string, spec: Document = {}): Document {
  return {
    apiVersion,
    kind: 'RoutingPolicy',
    metadata: { name },
    spec: { match: { models: [name] }, backendRefs: [{ name }], ...spec },
  };
}

export function secret(name: string, stringData: Readonly<Record<string, string>>): Document {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData };
}

/** A folder of manifests, gone after `dispose`. */
export class ManifestFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'hermes-e2e-'));

  constructor(documents: readonly Document[]) {
    this.write('all.yaml', documents);
  }

  /** Replaces a file in one step. */
  write(file: string, documents: readonly Document[]): void {
    this.writeText(file, documents.map((document) => JSON.stringify(document)).join('\n---\n'));
  }

  writeText(file: string, text: string): void {
    const draft = join(this.path, `${file}.draft`);
    writeFileSync(draft, text);
    renameSync(draft, join(this.path, file));
  }

  remove(file: string): void {
    rmSync(join(this.path, file));
  }

  dispose(): void {
    rmSync(this.path, { recursive: true });
  }
}
