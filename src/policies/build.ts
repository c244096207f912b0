import type { WeightedScorer } from '../router/plugin.ts';
import { SchedulingProfile } from '../router/profile.ts';
import { buildPairs, namesPairs } from './build-pairs.ts';
import type { PickerDefinition, PluginContext, PluginSpec, ProfileSpec } from './definition.ts';
import { find, parametersOf, ProfileError } from './profile-error.ts';
import type { Registry } from './registry.ts';

export { ProfileError, type ProfileFault } from './profile-error.ts';

const defaultPicker: PluginSpec = { type: 'picker-min-random' };

/** How the leader of a chosen pair's group is chosen. */
const leaders: ProfileSpec = { scorers: [{ type: 'scorer-least-load' }] };

/** Makes the plugins of a profile. Throws ProfileError at the first fault. */
export function buildProfile(spec: ProfileSpec, registry: Registry, context: PluginContext): SchedulingProfile {
  if (!namesPairs(spec, registry)) return buildSingle(spec, registry, context);
  const filters = (spec.filters ?? []).filter(({ type }) => !registry.pairFilters.has(type));
  const { parts } = buildSingle({ ...leaders, filters }, registry, context);
  const { pairs, readsHits } = buildPairs({ picker: defaultPicker, ...spec }, registry, context);
  const pickerType = (spec.picker ?? defaultPicker).type;
  return new SchedulingProfile({ ...parts, pairs, readsHits, pickerType, description: describe(spec) });
}

/** A profile that picks one endpoint. */
function buildSingle(spec: ProfileSpec, registry: Registry, context: PluginContext): SchedulingProfile {
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
  refuseWrongEnd(definition, scorers);
  const picker = definition.create(parametersOf(definition.parameters, pickerSpec, 'picker'), context);
  return new SchedulingProfile({
    filters,
    filterTypes: (spec.filters ?? []).map(({ type }) => type),
    scorers,
    picker,
    pickerType: pickerSpec.type,
    readsHits: scorers.some(({ type }) => registry.scorers.get(type)?.readsHits === true),
    description: describe(spec),
  });
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

/** A picker that takes the value itself for a chance needs to know its sign. */
function refuseWrongEnd({ type, takes }: PickerDefinition, scorers: readonly WeightedScorer[]): void {
  const other = scorers.find(({ direction }) => takes !== undefined && direction !== takes);
  if (other === undefined) return;
  const message = `${type} works with scorers whose highest value wins, and the lowest of ${other.type} does; use another picker`;
  throw new ProfileError('MixedScorerDirections', 'picker.type', message);
}

function describe({ filters = [], scorers = [], picker = defaultPicker, handlers = [] }: ProfileSpec): string {
  const weighted = scorers.map(({ type, weight }) => `${type} x${weight ?? 1}`);
  const named = ({ type }: PluginSpec): string => type;
  return [...filters.map(named), ...weighted, picker.type, ...handlers.map(named)].join(' → ');
}
