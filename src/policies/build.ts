import type { Static, TObject } from 'typebox';
import { Value } from 'typebox/value';
import type { WeightedScorer } from '../router/plugin.ts';
import { SchedulingProfile } from '../router/profile.ts';
import type { PluginContext, PluginSpec, ProfileSpec } from './definition.ts';
import type { Registry } from './registry.ts';

/** Why a profile cannot be built; the words are reasons of the Accepted condition. */
export type ProfileFault = 'Invalid' | 'InvalidParameters' | 'MixedScorerDirections';

/** A profile that names unknown plugins, gives wrong parameters or mixes costs with gains. */
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

const defaultPicker: PluginSpec = { type: 'picker-min-random' };

/** Makes the plugins of a profile. Throws ProfileError at the first fault. */
export function buildProfile(spec: ProfileSpec, registry: Registry, context: PluginContext): SchedulingProfile {
  const filters = (spec.filters ?? []).map((plugin, i) => {
    const path = `filters[${i}]`;
    const definition = find(registry.filters, plugin.type, path);
    return definition.create(parametersOf(definition.parameters, plugin, path), context);
  });
  const scorers = (spec.scorers ?? []).map((plugin, i): WeightedScorer => {
    const path = `scorers[${i}]`;
    const definition = find(registry.scorers, plugin.type, path);
    const scorer = definition.create(parametersOf(definition.parameters, plugin, path), context);
    return { type: definition.type, scorer, direction: definition.direction, weight: plugin.weight ?? 1 };
  });
  refuseMixedDirections(scorers);
  const pickerSpec = spec.picker ?? defaultPicker;
  const definition = find(registry.pickers, pickerSpec.type, 'picker');
  const picker = definition.create(parametersOf(definition.parameters, pickerSpec, 'picker'), context);
  return new SchedulingProfile({
    filters,
    filterTypes: (spec.filters ?? []).map(({ type }) => type),
    scorers,
    picker,
    pickerType: pickerSpec.type,
    readsHits: scorers.some(({ type }) => registry.scorers.get(type)?.readsHits === true),
    description: describe(spec, pickerSpec),
  });
}

function find<D>(known: ReadonlyMap<string, D>, type: string, path: string): D {
  const definition = known.get(type);
  if (definition !== undefined) return definition;
  throw new ProfileError(
    'Invalid',
    `${path}.type`,
    `no plugin is called ${type}; known are ${[...known.keys()].join(', ')}`,
  );
}

function parametersOf<S extends TObject>(schema: S, plugin: PluginSpec, path: string): Static<S> {
  const value: unknown = Value.Default(schema, structuredClone(plugin.parameters ?? {}));
  if (Value.Check(schema, value)) return value;
  const fault = Value.Errors(schema, value)[0];
  const field = fault.instancePath.replaceAll('/', '.');
  // A property that the schema does not have fails against the schema `false`.
  const known = Object.keys(schema.properties).join(', ') || 'none';
  const message = fault.keyword === 'boolean' ? `there is no such parameter; known are ${known}` : fault.message;
  throw new ProfileError('InvalidParameters', `${path}.parameters${field}`, `${plugin.type}: ${message}`);
}

/** Costs (lowest wins) and gains (highest wins) cannot be added up. */
function refuseMixedDirections(scorers: readonly WeightedScorer[]): void {
  const cost = scorers.find((scorer) => scorer.direction === 'cost');
  const gain = scorers.find((scorer) => scorer.direction === 'gain');
  if (cost === undefined || gain === undefined) return;
  throw new ProfileError(
    'MixedScorerDirections',
    'scorers',
    `the lowest value of ${cost.type} wins and the highest of ${gain.type}; use scorers of one direction`,
  );
}

function describe(spec: ProfileSpec, picker: PluginSpec): string {
  const scorers = (spec.scorers ?? []).map(({ type, weight }) => `${type} x${weight ?? 1}`);
  const filters = (spec.filters ?? []).map(({ type }) => type);
  return [...filters, ...scorers, picker.type].join(' → ');
}
