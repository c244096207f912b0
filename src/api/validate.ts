import { readFileSync } from 'node:fs';
import { readDocument } from './app-config-file.ts';
import { isAppConfig } from './app-config.ts';
import { decodeResource, isOurs } from './decode.ts';
import type { Resource } from './decode.ts';
import { parseDocuments } from './documents.ts';
import { holdsPickerConfig, readPickerDocument } from './endpoint-picker-config-file.ts';
import { isIndexerValues, readValuesDocument } from './indexer-values.ts';
import type { FileFault, ParsedDocument } from './documents.ts';
import { manifestFiles } from './manifest-files.ts';
import { isObject } from './schema-node.ts';

/** What `hermes-router validate` finds. */
export interface Findings {
  readonly faults: FileFault[];
  /** What may be a fault, if it is not somewhere else. */
  readonly warnings: FileFault[];
  /** What was passed over. */
  readonly notes: FileFault[];
  /** How many files were read and how many good resources they hold. */
  readonly files: number;
  readonly resources: number;
  /** How many good configurations, of v25.09, of cache-indexer or of an endpoint picker, they hold. */
  readonly configs: number;
}

/** A good resource and where it stands. */
interface Placed {
  readonly resource: Resource;
  readonly file: string;
  readonly document: ParsedDocument;
}

/**
 * Checks manifests and configurations of v25.09, of cache-indexer and of endpoint pickers, offline. With `strict`, a
 * policy whose group is not in the files is a fault.
 */
export function validateFiles(paths: readonly string[], options: { readonly strict: boolean }): Findings {
  const run = new Validation();
  for (const path of paths) run.path(path);
  run.references(options.strict);
  return {
    faults: run.faults,
    warnings: run.warnings,
    notes: run.notes,
    files: run.files.size,
    resources: run.placed.size,
    configs: run.configs,
  };
}

class Validation {
  readonly faults: FileFault[] = [];
  readonly warnings: FileFault[] = [];
  readonly notes: FileFault[] = [];
  readonly files = new Set<string>();
  readonly placed = new Map<string, Placed>();
  configs = 0;

  path(path: string): void {
    try {
      const found = manifestFiles(path);
      if (found.length === 0)
        this.notes.push(ofFile(path, 'holds no .yaml, .yml or .json file', 'name another folder'));
      for (const file of found) this.file(file);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      const missing = error.code === 'ENOENT';
      const message = missing ? 'does not exist' : `cannot be read (${error.code})`;
      this.faults.push(ofFile(error.path ?? path, message, missing ? 'check the path' : 'check its permissions'));
    }
  }

  private file(file: string): void {
    // A file that two of the paths lead to is read once.
    if (this.files.has(file)) return;
    this.files.add(file);
    const { documents, faults } = parseDocuments(readFileSync(file, 'utf8'), file);
    this.faults.push(...faults);
    for (const document of documents) this.document(file, document);
  }

  private document(file: string, document: ParsedDocument): void {
    const { value } = document;
    if (isAppConfig(value) || holdsPickerConfig(value)) {
      this.config(file, document);
      return;
    }
    if (!isOurs(value) && isObject(value) && typeof value.apiVersion === 'string') {
      const kind = typeof value.kind === 'string' ? value.kind : 'an object';
      this.notes.push({
        file,
        line: document.lineOf('apiVersion'),
        path: 'apiVersion',
        message: `${kind} of ${value.apiVersion} is passed over`,
        cure: 'nothing to do',
      });
      return;
    }
    const decoded = decodeResource(value);
    if (decoded.ok) this.resource({ resource: decoded.resource, file, document });
    else
      this.faults.push(
        ...decoded.faults.map((fault) => ({
          ...at(file, document, fault.path),
          message: fault.message,
          cure: fault.cure,
        })),
      );
  }

  private config(file: string, document: ParsedDocument): void {
    const { config, faults, notes } = readerOf(document.value)(document, file);
    this.faults.push(...faults);
    this.notes.push(...notes);
    if (config !== null) this.configs += 1;
  }

  private resource(found: Placed): void {
    const { resource, file, document } = found;
    const key = keyOf(resource.kind, resource.metadata.namespace, resource.metadata.name);
    const first = this.placed.get(key);
    if (first === undefined) {
      this.placed.set(key, found);
      return;
    }
    const where = `${first.file}:${first.document.lineOf('metadata.name')}`;
    this.faults.push({
      ...at(file, document, 'metadata.name'),
      message: `${key} stands at ${where} already`,
      cure: 'remove one of them or give it another name',
    });
  }

  /** Policies whose groups are not in the files; the groups may live in the cluster. */
  references(strict: boolean): void {
    for (const { resource, file, document } of this.placed.values()) {
      if (resource.kind !== 'RoutingPolicy') continue;
      resource.spec.backendRefs.forEach((ref, i) => {
        // Pools are not in files: they are found in a cluster only.
        if (ref.kind === 'InferencePool') return;
        if (this.placed.has(keyOf(ref.kind, resource.metadata.namespace, ref.name))) return;
        const where = at(file, document, `spec.backendRefs[${i}].name`);
        const message = `names ${ref.kind} ${resource.metadata.namespace}/${ref.name}, which these files do not hold`;
        (strict ? this.faults : this.warnings).push({ ...where, message, cure: 'correct the name, or add the group' });
      });
    }
  }
}

/** Which configuration a document is, among those of this project. */
function readerOf(value: unknown): (document: ParsedDocument, file: string) => ReadConfig {
  if (holdsPickerConfig(value)) return readPickerDocument;
  return isIndexerValues(value) ? readValuesDocument : readDocument;
}

/** What is common to all that reads a configuration. */
interface ReadConfig {
  readonly config: object | null;
  readonly faults: readonly FileFault[];
  readonly notes: readonly FileFault[];
}

const keyOf = (kind: string, namespace: string, name: string): string => `${kind} ${namespace}/${name}`;

const at = (file: string, document: ParsedDocument, path: string) => ({ file, line: document.lineOf(path), path });

const ofFile = (file: string, message: string, cure: string): FileFault => ({ file, line: 1, path: '', message, cure });

const isSystemError = (error: unknown): error is NodeJS.ErrnoException & { code: string } =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' && 'syscall' in error;
