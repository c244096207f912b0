import type { ProfileSpec, ScorerSpec } from './definition.ts';

/**
 * A profile of pairs that are told by the labels of openFuyao, unless their group says how, and named to the leader
 * where there is one.
 */
export function pairsByLabel(scorers: readonly ScorerSpec[], picker: string): ProfileSpec {
  return {
    filters: [{ type: 'filter-by-pd-label' }],
    scorers,
    picker: { type: picker },
    handlers: [{ type: 'pd-header-handler' }],
  };
}
