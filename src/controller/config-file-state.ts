import { readAppConfig, type AppConfigFile } from '../api/app-config-file.ts';
import type { AppConfig } from '../api/app-config.ts';
import type { BackendGroup } from '../api/backend-group.ts';
import type { FileFault } from '../api/documents.ts';
import { keyOf, type AcceptedPolicy } from './compile.ts';
import type { ResourceSnapshot } from './resource-snapshot.ts';

/** What a look at a file finds: its text, or why it has none. */
export type FileLook =
  { readonly text: string } | { readonly problem: { readonly message: string; readonly cure: string } };

/** Reads one form of configuration file; `namespace` is that of its resources where the text names none. */
export type ReadConfig = (text: string, path: string, namespace: string) => AppConfigFile;

/** What a configuration file says now, or said when it last was right; fits wherever manifests fit. */
export interface ConfigSnapshot extends ResourceSnapshot {
  /** Where the engines are looked for; null while the file has never been right. */
  readonly namespace: string | null;
  /** What is no fault of the file but should be known: keys without an effect, parts that were left out. */
  readonly notes: readonly FileFault[];
}

/** What is in force; the same objects until a good text replaces it. */
interface InForce {
  readonly namespace: string | null;
  readonly groups: readonly BackendGroup[];
  readonly policies: readonly AcceptedPolicy[];
  readonly keys: ReadonlySet<string>;
  readonly notes: readonly FileFault[];
}

const nothing: InForce = { namespace: null, groups: [], policies: [], keys: new Set(), notes: [] };

/** One configuration file over time: while it is gone, empty or wrong, what it said last stays in force. */
export class ConfigFileState {
  readonly path: string;
  private readonly namespace: string;
  private readonly read: ReadConfig;
  private inForce = nothing;

  /** `namespace` is that of the resources where the file names none; `read` is of v25.09's form unless given. */
  constructor(path: string, namespace: string, read: ReadConfig = readAppConfig) {
    this.path = path;
    this.namespace = namespace;
    this.read = read;
  }

  get empty(): boolean {
    return this.inForce === nothing;
  }

  update(look: FileLook): ConfigSnapshot {
    if ('problem' in look) return this.lastGood([{ file: this.path, line: 1, path: '', ...look.problem }]);
    const { config, faults, notes } = this.read(look.text, this.path, this.namespace);
    if (config === null) return this.lastGood(faults);
    this.inForce = inForceOf(config, notes);
    return this.snapshot({ faults, notes, lastGoodInForce: nothing.keys });
  }

  private lastGood(faults: readonly FileFault[]): ConfigSnapshot {
    return this.snapshot({ faults, notes: [], lastGoodInForce: this.inForce.keys });
  }

  private snapshot(said: Pick<ConfigSnapshot, 'faults' | 'notes' | 'lastGoodInForce'>): ConfigSnapshot {
    const { namespace, groups, policies } = this.inForce;
    return { namespace, groups, policies, broken: [], secrets: new Map(), ...said };
  }
}

function inForceOf({ namespace, resources }: AppConfig, notes: readonly FileFault[]): InForce {
  const { groups, policies } = resources;
  const keys = new Set([...groups, ...policies].map(({ kind, metadata }) => `${kind} ${keyOf(metadata)}`));
  // In files no policy is older than another.
  return { namespace, groups, policies: policies.map((resource) => ({ resource, created: 0 })), keys, notes };
}
