import type { Static, TObject } from 'typebox';
import { Value } from 'typebox/value';
import type { PluginSpec } from './definition.ts';

/** Why a profile cannot be built; the words are reasons of the Accepted condition. */
export type ProfileFault = 'Invalid' | 'InvalidParameters' | 'MixedScorerDirections';

/** A profile that names unknown plugins, gives wrong parameters or mixes what cannot work together. */
export class ProfileError extends Error {
  override readonly name = 'ProfileError';
  readonly reason: ProfileFault;
  /** Where in the profile: `scorers[1].parameters.weight`. */
  readonly path: string;

  constructor(reason: ProfileFault, path: string, message: string) {
    super(message);
    this.reason = reason;
    this.path = path;
  }
}

/** The definition that a plugin at `path` names. Throws ProfileError. */
export function find<D>(known: ReadonlyMap<string, D>, type: string, path: string): D {
  const definition = known.get(type);
  if (definition !== undefined) return definition;
  throw new ProfileError(
    'Invalid',
    `${path}.type`,
    `no plugin is called ${type}; known are ${[...known.keys()].join(', ')}`,
  );
}

/** A plugin's parameters with their defaults. Throws ProfileError. */
export function parametersOf<S extends TObject>(schema: S, plugin: PluginSpec, path: string): Static<S> {
  const value: unknown = Value.Default(schema, structuredClone(plugin.parameters ?? {}));
  if (Value.Check(schema, value)) return value;
  const fault = Value.Errors(schema, value)[0];
  const field = fault.instancePath.replaceAll('/', '.');
  // A property that the schema does not have fails against the schema `false`.
  const known = Object.keys(schema.properties).join(', ') || 'none';
  const message = fault.keyword === 'boolean' ? `there is no such parameter; known are ${known}` : fault.message;
  throw new ProfileError('InvalidParameters', `${path}.parameters${field}`, `${plugin.type}: ${message}`);
}
