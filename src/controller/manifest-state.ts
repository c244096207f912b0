import type { BackendGroup } from '../api/backend-group.ts';
import { decodeResource, isOurs, type Resource } from '../api/decode.ts';
import { parseDocuments, type FileFault, type ParsedDocument } from '../api/documents.ts';
import type { AcceptedPolicy, BrokenGroup, BrokenPolicy } from './compile.ts';
import { asBrokenGroup, asBrokenPolicy, identityOf, routerClassOf, type Identity } from './broken-policy.ts';
import type { ResourceSnapshot } from './resource-snapshot.ts';
import { readSecret } from './secrets.ts';

/** A manifest file as read. */
export interface FileText {
  readonly path: string;
  readonly text: string;
}

/** One object of one file: good, bad with or without a last good version, or a secret. */
interface Entry {
  readonly identity: Identity;
  readonly resource: Resource | null;
  readonly value: unknown;
}

/**
 * Manifests of a folder over time. A bad object keeps its last good version in force while the others go on changing;
 * a file that does not parse keeps all it had; a file or an object that is gone is a deletion.
 */
export class ManifestState {
  private readonly routerClass: string;
  private files = new Map<string, readonly Entry[]>();
  private lastGood = new Map<string, Resource>();

  constructor(routerClass: string) {
    this.routerClass = routerClass;
  }

  /** Takes in all files as they are now. */
  update(texts: readonly FileText[]): ResourceSnapshot {
    const faults: FileFault[] = [];
    const files = new Map<string, readonly Entry[]>();
    for (const file of texts) files.set(file.path, this.read(file, faults));
    this.files = files;
    return this.snapshot(faults);
  }

  private read(file: FileText, faults: FileFault[]): readonly Entry[] {
    const parsed = parseDocuments(file.text, file.path);
    if (parsed.faults.length > 0) {
      faults.push(...parsed.faults);
      return this.files.get(file.path) ?? [];
    }
    const entries: Entry[] = [];
    for (const document of parsed.documents) {
      const entry = readDocument(document, file.path, faults);
      if (entry !== null) entries.push(entry);
    }
    return entries;
  }

  private snapshot(faults: FileFault[]): ResourceSnapshot {
    const secrets = new Map<string, Readonly<Record<string, string>>>();
    const good = new Map<string, Resource>();
    const bad: Bad = { broken: [], brokenGroups: [] };
    const lastGoodInForce = new Set<string>();
    const seen = new Set<string>();
    for (const [file, entries] of this.files) {
      for (const { identity, resource, value } of entries) {
        if (identity.kind === 'Secret') {
          secrets.set(identity.name, readSecret(value));
          continue;
        }
        if (seen.has(identity.key)) {
          faults.push(duplicate(file, identity));
          continue;
        }
        seen.add(identity.key);
        const inForce = resource ?? this.lastGood.get(identity.key);
        if (inForce !== undefined) good.set(identity.key, inForce);
        else if (routerClassOf(value) === this.routerClass) addBad(bad, identity, value);
        if (resource === null && inForce !== undefined) lastGoodInForce.add(identity.key);
      }
    }
    this.lastGood = good;
    return { ...this.sorted(good), ...bad, secrets, faults, lastGoodInForce };
  }

  private sorted(good: ReadonlyMap<string, Resource>): { groups: BackendGroup[]; policies: AcceptedPolicy[] } {
    const groups: BackendGroup[] = [];
    const policies: AcceptedPolicy[] = [];
    for (const resource of good.values()) {
      if (resource.spec.routerClassName !== this.routerClass) continue;
      if (resource.kind === 'BackendGroup') groups.push(resource);
      else policies.push({ resource, created: 0 });
    }
    return { groups, policies };
  }
}

/** What can be read of resources of which no version was ever valid. */
interface Bad {
  readonly broken: BrokenPolicy[];
  readonly brokenGroups: BrokenGroup[];
}

function addBad({ broken, brokenGroups }: Bad, identity: Identity, document: unknown): void {
  if (identity.kind === 'RoutingPolicy') broken.push(asBrokenPolicy(document, identity));
  else if (identity.kind === 'BackendGroup') brokenGroups.push(asBrokenGroup(document, identity));
}

function readDocument(document: ParsedDocument, file: string, faults: FileFault[]): Entry | null {
  const { value } = document;
  const identity = identityOf(value);
  if (identity?.kind === 'Secret') return { identity, resource: null, value };
  if (!isOurs(value)) return null;
  const decoded = decodeResource(value);
  if (!decoded.ok) {
    for (const { path, message, cure } of decoded.faults)
      faults.push({ file, line: document.lineOf(path), path, message, cure });
  }
  if (identity === null) return null;
  return { identity, resource: decoded.ok ? decoded.resource : null, value };
}

function duplicate(file: string, identity: Identity): FileFault {
  return {
    file,
    line: 1,
    path: 'metadata.name',
    message: `${identity.key} stands in these manifests twice; the first one is in force`,
    cure: 'remove one of them or give it another name',
  };
}
