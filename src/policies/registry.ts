import type { FilterDefinition, PickerDefinition, PresetDefinition, ScorerDefinition } from './definition.ts';

/** All plugins and presets by name. */
export interface Registry {
  readonly filters: ReadonlyMap<string, FilterDefinition>;
  readonly scorers: ReadonlyMap<string, ScorerDefinition>;
  readonly pickers: ReadonlyMap<string, PickerDefinition>;
  readonly presets: ReadonlyMap<string, PresetDefinition>;
}

type AnyDefinition = FilterDefinition | ScorerDefinition | PickerDefinition | PresetDefinition;

/** Definitions by type; two of one name are a programming error. */
export function byType<D extends AnyDefinition>(definitions: readonly D[]): ReadonlyMap<string, D> {
  const found = new Map<string, D>();
  for (const definition of definitions) {
    if (found.has(definition.type)) throw new Error(`two ${definition.kind}s are called ${definition.type}`);
    found.set(definition.type, definition);
  }
  return found;
}
