import type {
  FilterDefinition,
  HandlerDefinition,
  PairFilterDefinition,
  PairPickerDefinition,
  PairScorerDefinition,
  PickerDefinition,
  PresetDefinition,
  ScorerDefinition,
} from './definition.ts';

/** All plugins and presets by name. */
export interface Registry {
  readonly filters: ReadonlyMap<string, FilterDefinition>;
  readonly scorers: ReadonlyMap<string, ScorerDefinition>;
  readonly pickers: ReadonlyMap<string, PickerDefinition>;
  readonly pairFilters: ReadonlyMap<string, PairFilterDefinition>;
  readonly pairScorers: ReadonlyMap<string, PairScorerDefinition>;
  readonly pairPickers: ReadonlyMap<string, PairPickerDefinition>;
  readonly handlers: ReadonlyMap<string, HandlerDefinition>;
  readonly presets: ReadonlyMap<string, PresetDefinition>;
}

/** What a profile may name. */
export type PluginDefinition =
  | FilterDefinition
  | ScorerDefinition
  | PickerDefinition
  | PairFilterDefinition
  | PairScorerDefinition
  | PairPickerDefinition
  | HandlerDefinition;

/** The plugin of that name, of whatever kind. */
export function pluginOf(registry: Registry, type: string): PluginDefinition | undefined {
  return (
    registry.filters.get(type) ??
    registry.scorers.get(type) ??
    registry.pickers.get(type) ??
    registry.pairFilters.get(type) ??
    registry.pairScorers.get(type) ??
    registry.pairPickers.get(type) ??
    registry.handlers.get(type)
  );
}

/** Definitions by type; two of one name are a programming error. */
export function byType<D extends PluginDefinition | PresetDefinition>(
  definitions: readonly D[],
): ReadonlyMap<string, D> {
  const found = new Map<string, D>();
  for (const definition of definitions) {
    if (found.has(definition.type)) throw new Error(`two ${definition.kind}s are called ${definition.type}`);
    found.set(definition.type, definition);
  }
  return found;
}
