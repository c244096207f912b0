import { Value } from 'typebox/value';
import { faultsOf, type Fault } from './check.ts';
import { curesOf } from './app-config-cures.ts';
import { notesOf, type Note } from './app-config-notes.ts';
import { appConfigSchema } from './app-config-schema.ts';
import { appGroup, appPolicy } from './app-config-resources.ts';
import type { BackendGroup } from './backend-group.ts';
import { decodeResource, type Resource } from './decode.ts';
import { withDefaults } from './defaults.ts';
import type { RoutingPolicy } from './routing-policy.ts';
import { isObject } from './schema-node.ts';

/** What a configuration of v25.09 stands for. */
export interface AppConfig {
  /** `app.namespace`, or the one given where the file names none; the resources carry it, too. */
  readonly namespace: string;
  readonly resources: { readonly groups: readonly BackendGroup[]; readonly policies: readonly RoutingPolicy[] };
  /** What a reader would otherwise not expect: keys without an effect, parts that were left out. */
  readonly notes: readonly Note[];
}

/** A configuration as resources with their defaults filled in, or everything that is wrong with it. */
export type DecodedAppConfig = ({ ok: true } & AppConfig) | { ok: false; faults: readonly Fault[] };

/** Whether a document is a configuration of v25.09 rather than a manifest. */
export function isAppConfig(document: unknown): boolean {
  return isObject(document) && Object.hasOwn(document, 'app') && !isManifest(document);
}

/**
 * Checks a document that holds `app`, such as a values file, and makes one BackendGroup and one RoutingPolicy of it,
 * both named `app`. `namespace` is theirs where `app.namespace` is left out. What stands beside `app` is the chart's.
 */
export function decodeAppConfig(document: unknown, namespace = 'default'): DecodedAppConfig {
  const misfit = misfitOf(document);
  if (misfit !== null) return { ok: false, faults: [misfit] };
  const given = { app: isObject(document) ? document.app : undefined };
  const value = withDefaults(appConfigSchema, given);
  const faults = faultsOf(appConfigSchema, value);
  if (faults.length > 0) return { ok: false, faults: faults.map((fault) => curesOf(fault, value)) };
  if (!Value.Check(appConfigSchema, value)) throw new Error('two checks of app disagree; please report it');
  const { app } = value;
  const metadata = { name: 'app', namespace: app.namespace ?? namespace };
  const group = accepted(appGroup(app, metadata));
  const policy = accepted(appPolicy(app, metadata));
  if (group.kind !== 'BackendGroup' || policy.kind !== 'RoutingPolicy') throw new Error('app became other kinds');
  return {
    ok: true,
    namespace: metadata.namespace,
    resources: { groups: [group], policies: [policy] },
    notes: notesOf(app, isObject(document) ? document : {}),
  };
}

/** Why a document cannot be a configuration at all; null where it may be one. */
function misfitOf(document: unknown): Fault | null {
  if (!isObject(document)) return misfit('', 'is no map', 'write the settings under `app:`');
  if (isManifest(document)) {
    const cure =
      'write what a ConfigMap holds under `data`, or mount it and name the file; manifests go to --manifests';
    return misfit('kind', 'belongs to a manifest, which is no configuration', cure);
  }
  if (Object.hasOwn(document, 'app')) return null;
  const keys = Object.keys(appConfigSchema.properties.app.properties);
  const stray = Object.keys(document).filter((key) => keys.includes(key));
  return stray.length === 0
    ? misfit('app', 'is missing', 'write the settings under `app:`')
    : misfit(stray[0], 'stands outside of `app`', `write \`app:\` above and indent ${stray.join(', ')} below it`);
}

const isManifest = (document: Readonly<Record<string, unknown>>): boolean =>
  Object.hasOwn(document, 'kind') || Object.hasOwn(document, 'apiVersion');

const misfit = (path: string, message: string, cure: string): Fault => ({ path, message, cure, reason: 'Invalid' });

/** A resource made here is right, or this room contradicts itself. */
function accepted(document: unknown): Resource {
  const decoded = decodeResource(document);
  if (decoded.ok) return decoded.resource;
  const [{ path, message }] = decoded.faults;
  throw new Error(`app was accepted, but the resource made of it is not: ${path} ${message}; please report it`);
}
