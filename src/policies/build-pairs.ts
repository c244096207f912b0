import { ledBy } from '../router/pair-topology.ts';
import type { HandoverHeader, PairPicker, WeightedPairScorer } from '../router/plugin.ts';
import type { PairParts } from '../router/profile.ts';
import type { PluginContext, PluginSpec, ProfileSpec, ScorerSpec } from './definition.ts';
import { find, parametersOf, ProfileError } from './profile-error.ts';
import type { Registry } from './registry.ts';

/** Its name says what it does of pairs as well as of endpoints. */
const eitherPicker = 'picker-min-random';

/** Whether a profile names a plugin of pairs, so that all its scorers, its picker and handlers must be such. */
export function namesPairs({ filters = [], scorers = [], picker, handlers = [] }: ProfileSpec, registry: Registry) {
  return (
    handlers.length > 0 ||
    (picker !== undefined && registry.pairPickers.has(picker.type)) ||
    filters.some(({ type }) => registry.pairFilters.has(type)) ||
    scorers.some(({ type }) => registry.pairScorers.has(type))
  );
}

/** A profile that says which picker. */
type PickingSpec = ProfileSpec & { readonly picker: PluginSpec };

/** Makes the plugins of pairs of a profile. Throws ProfileError at the first fault. */
export function buildPairs(
  spec: PickingSpec,
  registry: Registry,
  context: PluginContext,
): { readonly pairs: PairParts; readonly readsHits: boolean } {
  const { topology, groupingType } = topologyOf(spec, registry);
  const scorers = (spec.scorers ?? []).map((plugin, i) => scorerOf(plugin, `scorers[${i}]`, registry, context));
  const pairs: PairParts = {
    topology,
    groupingType,
    scorers,
    picker: pickerOf(spec.picker, registry, context),
    charges: scorers.flatMap(({ scorer }) => scorer.charges ?? []),
    headers: headersOf(spec.handlers ?? [], registry),
  };
  return { pairs, readsHits: scorers.some(({ type }) => registry.pairScorers.get(type)?.readsHits === true) };
}

function topologyOf({ filters = [] }: ProfileSpec, registry: Registry): Pick<PairParts, 'topology' | 'groupingType'> {
  const places = filters.flatMap(({ type }, i) => (registry.pairFilters.has(type) ? [i] : []));
  if (places.length !== 1) {
    const names = [...registry.pairFilters.keys()].join(', ');
    const message = `a profile of pairs has one filter that tells who is who (${names}), this one has ${places.length}`;
    throw new ProfileError('Invalid', 'filters', message);
  }
  const [at] = places;
  const path = `filters[${at}]`;
  const definition = find(registry.pairFilters, filters[at].type, path);
  const parameters = parametersOf(definition.parameters, filters[at], path);
  return { topology: ledBy(definition.create(parameters)), groupingType: definition.type };
}

function scorerOf(plugin: ScorerSpec, path: string, registry: Registry, context: PluginContext): WeightedPairScorer {
  const single = registry.scorers.get(plugin.type);
  if (single !== undefined) {
    const reason = single.direction === 'gain' ? 'MixedScorerDirections' : 'Invalid';
    throw ofSingles(plugin.type, path, [...registry.pairScorers.keys()], reason);
  }
  const definition = find(registry.pairScorers, plugin.type, path);
  const scorer = definition.create(parametersOf(definition.parameters, plugin, path), context);
  return { type: definition.type, scorer, weight: plugin.weight ?? 1 };
}

function pickerOf(plugin: PluginSpec, registry: Registry, context: PluginContext): PairPicker {
  const known = [eitherPicker, ...registry.pairPickers.keys()];
  if (plugin.type !== eitherPicker && registry.pickers.has(plugin.type))
    throw ofSingles(plugin.type, 'picker', known, 'Invalid');
  const type = plugin.type === eitherPicker ? 'picker-pd-kv-cache-aware' : plugin.type;
  const definition = find(registry.pairPickers, type, 'picker');
  return definition.create(parametersOf(definition.parameters, plugin, 'picker'), context);
}

function headersOf(handlers: readonly PluginSpec[], registry: Registry): HandoverHeader[] {
  return handlers.flatMap((plugin, i) => {
    const path = `handlers[${i}]`;
    const definition = find(registry.handlers, plugin.type, path);
    return [...definition.create(parametersOf(definition.parameters, plugin, path))];
  });
}

function ofSingles(
  type: string,
  path: string,
  known: readonly string[],
  reason: 'Invalid' | 'MixedScorerDirections',
): ProfileError {
  const message = `${type} is for single endpoints; for pairs of prefiller and decoder there are ${known.join(', ')}`;
  return new ProfileError(reason, `${path}.type`, message);
}
