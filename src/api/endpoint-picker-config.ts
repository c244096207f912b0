import { Value } from 'typebox/value';
import type { ProfileSpec } from '../policies/definition.ts';
import { registry } from '../policies/index.ts';
import { kvManagerOf } from '../policies/kv-manager.ts';
import type { SaturationBounds } from '../router/saturation.ts';
import { faultsOf, type Fault } from './check.ts';
import { withDefaults } from './defaults.ts';
import { checkEnds, checkPickers, composed } from './endpoint-picker-config-compose.ts';
import { curesOf } from './endpoint-picker-config-cures.ts';
import { declaredPlugins, isPicker } from './endpoint-picker-config-declared.ts';
import { Findings, type PickerNote } from './endpoint-picker-config-findings.ts';
import { checkHosts } from './endpoint-picker-config-hosts.ts';
import { managerCache } from './endpoint-picker-config-manager.ts';
import { noteParameters } from './endpoint-picker-config-notes.ts';
import { checkPairs, choosesPairs } from './endpoint-picker-config-pairs.ts';
import { chosenProfile, type Chosen } from './endpoint-picker-config-profile.ts';
import { checkReferences, saturationOf } from './endpoint-picker-config-references.ts';
import { refuseUnsupported } from './endpoint-picker-config-refusals.ts';
import { kind, pickerConfigSchema, type PickerDocument } from './endpoint-picker-config-schema.ts';
import type { KVCache } from './kv-cache.ts';
import { isObject } from './schema-node.ts';

/** What an EndpointPickerConfig makes of the picker; data, nothing is built yet. */
export interface PickerConfig {
  /** Name of its scheduling profile. */
  readonly name: string;
  /** For `buildProfile`, which takes it without a fault. */
  readonly profile: ProfileSpec;
  /**
   * Where KV-cache hits come from, as a BackendGroup says it: `Manager` where a plugin asks one (a host of one label is
   * a Service in the pool's namespace, any other a `url`), `Approximate` where one reads hits by itself, else `None`.
   */
  readonly kvCache: KVCache;
  readonly saturation: SaturationBounds;
  /** How many endpoints are named after the pick, for a gateway to fall back on; null where the file does not say. */
  readonly fallbacks: number | null;
}

/** A configuration and what a reader would not expect of it, or everything that is wrong with it. */
export type DecodedPickerConfig =
  | { readonly ok: true; readonly config: PickerConfig; readonly notes: readonly PickerNote[] }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/** Whether a document is of the kind, in whatever version. */
export function isPickerConfig(document: unknown): boolean {
  return isObject(document) && document.kind === kind;
}

const ofParameter = /^plugins\[\d+\]\.parameters[.[]/;

/** Checks a document of kind EndpointPickerConfig and compiles it. */
export function decodePickerConfig(document: unknown): DecodedPickerConfig {
  if (!isObject(document)) {
    const cure = `write \`kind: ${kind}\` and \`plugins\``;
    return { ok: false, faults: [{ path: '', message: 'is no map', cure, reason: 'Invalid' }] };
  }
  const value = withDefaults(pickerConfigSchema, document);
  const faults = faultsOf(pickerConfigSchema, value).map((fault) => curesOf(fault, value));
  // A wrong parameter hides no other fault.
  if (faults.some(({ path }) => !ofParameter.test(path))) return { ok: false, faults };
  if (!isDocument(value)) throw new Error('two checks of an EndpointPickerConfig disagree; please report it');
  return compiled(value, faults);
}

/** The form itself has been checked; parameters hang on the type of their plugin, which the builder cannot say. */
const isDocument = (value: unknown): value is PickerDocument => Value.Check(pickerConfigSchema, value);

function compiled(document: PickerDocument, faults: readonly Fault[]): DecodedPickerConfig {
  const found = new Findings(faults);
  const plugins = declaredPlugins(document, found);
  refuseUnsupported(document, found);
  checkReferences(document, plugins, found);
  const saturation = saturationOf(document, plugins, found);
  checkHosts(plugins.values(), found);
  noteParameters(plugins.values(), found);
  const before = found.faults.length;
  const chosen = chosenProfile(document, plugins, found);
  // What is misspelt may be what seems to be missing.
  const told = found.faults.length === before && [...plugins.values()].every(({ kind }) => kind !== null);
  if (chosen !== null && told) checkComposition(chosen, found);
  if (chosen === null || found.faults.length > 0) return { ok: false, faults: found.faults };
  const profile = composed(chosen);
  const config = {
    name: chosen.name,
    profile,
    kvCache: kvCacheOf(profile),
    saturation,
    fallbacks: fallbacksOf(chosen),
  };
  return { ok: true, config, notes: found.notes };
}

function checkComposition(chosen: Chosen, found: Findings): void {
  checkPickers(chosen, found);
  if (choosesPairs(chosen)) checkPairs(chosen, found);
  else checkEnds(chosen, found);
}

/** The reference's pickers count the pick itself. */
function fallbacksOf({ members }: Chosen): number | null {
  const count = members.find(({ plugin }) => isPicker(plugin))?.plugin.parameters.maxNumOfEndpoints;
  return typeof count === 'number' ? count - 1 : null;
}

function kvCacheOf(profile: ProfileSpec): KVCache {
  const manager = kvManagerOf(profile);
  if (manager !== null) return managerCache(manager);
  const readsHits = (profile.scorers ?? []).some(
    ({ type }) => (registry.scorers.get(type) ?? registry.pairScorers.get(type))?.readsHits === true,
  );
  return { type: readsHits ? 'Approximate' : 'None' };
}
