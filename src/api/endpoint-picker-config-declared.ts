import type { Findings } from './endpoint-picker-config-findings.ts';
import { ofUnknownPlugin } from './endpoint-picker-config-foreign.ts';
import { pluginKinds, type PluginKind, type PluginRole } from './endpoint-picker-config-plugins.ts';
import type { PickerDocument } from './endpoint-picker-config-schema.ts';
import { nearest } from './nearest.ts';

/** An entry of `plugins`. */
export interface Declared {
  readonly name: string;
  readonly type: string;
  /** `plugins[2]` */
  readonly path: string;
  /** With the defaults filled in. */
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Null for a plugin that is not supported, which is a fault already. */
  readonly kind: PluginKind | null;
}

/** The plugins of a document by name; unknown ones and second ones of a name are faults. */
export function declaredPlugins({ plugins }: PickerDocument, found: Findings): ReadonlyMap<string, Declared> {
  const byName = new Map<string, Declared>();
  plugins.forEach(({ type, name = type, parameters }, i) => {
    const path = `plugins[${i}]`;
    const kind = pluginKinds.get(type) ?? null;
    if (kind === null) {
      const { message, cure } = ofUnknownPlugin(type);
      found.fault(`${path}.type`, message, cure);
    }
    const first = byName.get(name);
    if (first === undefined) byName.set(name, { name, type, path, parameters, kind });
    else
      found.fault(path, `is called ${name}, as ${first.path} is`, 'give one of them a `name` of its own, or remove it');
  });
  return byName;
}

/** Plugins that the reference picker puts in where a file refers to them without declaring them. */
const undeclared = new Set(['openai-parser', 'utilization-detector', 'metrics-data-source', 'core-metrics-extractor']);

/** Words for roles, as they complete `is …`. */
const words: Readonly<Record<PluginRole, string>> = {
  filter: 'a filter',
  scorer: 'a scorer',
  picker: 'a picker',
  'pair-filter': 'a filter of pairs',
  'pair-scorer': 'a scorer of pairs',
  'pair-picker': 'a picker of pairs',
  handler: 'a handler of pairs',
  'profile-handler': 'a profile handler',
  detector: 'a saturation detector',
  parser: 'a parser',
  builtin: 'a data source',
};

/** Whether a plugin stands in profiles. */
export function isPlaced({ kind }: Declared): boolean {
  return kind !== null && !['profile-handler', 'detector', 'parser', 'builtin'].includes(kind.role);
}

/** Whether a plugin scores, endpoints or pairs. */
export const isScorer = ({ kind }: Declared): boolean => kind?.role === 'scorer' || kind?.role === 'pair-scorer';

/** Whether a plugin picks, endpoints or pairs. */
export const isPicker = ({ kind }: Declared): boolean => kind?.role === 'picker' || kind?.role === 'pair-picker';

/** What a `pluginRef` leads to; undefined where it leads to nothing, which is a fault, or to what is built in. */
export function resolve(ref: string, path: string, plugins: ReadonlyMap<string, Declared>, found: Findings) {
  const plugin = plugins.get(ref);
  if (plugin !== undefined || undeclared.has(ref)) return plugin;
  const near = nearest(ref, [...plugins.keys()]);
  const add = pluginKinds.has(ref) ? `add \`- type: ${ref}\` to \`plugins\`` : 'name an entry of `plugins`';
  const cure = near === null ? add : `did you mean \`${near}\`? Or ${add}`;
  found.fault(path, `names ${ref}, which \`plugins\` does not hold`, cure);
  return undefined;
}

/** Says so where a plugin stands in the place of one of another role. */
export function expectRole(plugin: Declared | undefined, role: PluginRole, path: string, found: Findings): void {
  if (plugin === undefined || plugin.kind === null || plugin.kind.role === role) return;
  found.fault(path, `names ${plugin.name}, which is ${words[plugin.kind.role]}`, `name ${words[role]}`);
}
