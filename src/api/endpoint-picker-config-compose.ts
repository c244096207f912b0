import type { PluginSpec, ProfileSpec } from '../policies/definition.ts';
import { registry } from '../policies/index.ts';
import type { Direction } from '../router/plugin.ts';
import { isPicker, isScorer, type Declared } from './endpoint-picker-config-declared.ts';
import type { Findings } from './endpoint-picker-config-findings.ts';
import type { PluginRole } from './endpoint-picker-config-plugins.ts';
import type { Chosen } from './endpoint-picker-config-profile.ts';

/** In a file each picker takes the end that its name says; `picker-min-random` is either family's in a RoutingPolicy. */
const takes = (type: string): Direction | undefined =>
  type === defaults.cost ? 'cost' : registry.pickers.get(type)?.takes;

/** What picks where a profile names no picker. */
const defaults: Readonly<Record<Direction, string>> = { cost: 'picker-min-random', gain: 'max-score-picker' };

const wins: Readonly<Record<Direction, string>> = { cost: 'the lowest value', gain: 'the highest value' };

/** Whether the lowest of a scorer's values wins, as in the family of v25.12, or the highest, as in the reference's. */
const directionOf = ({ type }: Declared): Direction => registry.scorers.get(type)?.direction ?? 'cost';

/** Faults for a second picker. */
export function checkPickers({ members }: Chosen, found: Findings): void {
  const [picker, ...others] = members.filter(({ plugin }) => isPicker(plugin));
  for (const { plugin, path } of others)
    found.fault(path, `${plugin.name} is a second picker beside ${picker.plugin.name}`, 'keep one of them');
}

/** Faults for scorers and pickers of single endpoints that want different ends. */
export function checkEnds({ members }: Chosen, found: Findings): void {
  const scorers = members.filter(({ plugin }) => isScorer(plugin));
  if (scorers.length === 0) return;
  const first = scorers[0].plugin;
  const direction = directionOf(first);
  const end = `${wins[direction]} of ${first.name} wins`;
  for (const { plugin, path } of scorers) {
    const other = directionOf(plugin);
    if (other === direction) continue;
    const message = `${wins[other]} of ${plugin.name} wins, and ${end}: they do not add up`;
    found.fault(path, message, 'use scorers of one family', 'MixedScorerDirections');
    return;
  }
  for (const { plugin, path } of members) {
    const taken = takes(plugin.type) ?? direction;
    if (taken === direction) continue;
    const message = `${plugin.name} takes ${wins[taken]}, and ${end}`;
    found.fault(path, message, `use ${defaults[direction]}`, 'MixedScorerDirections');
  }
}

/** The profile as `buildProfile` takes it, made of plugins without faults. */
export function composed({ members }: Chosen): ProfileSpec {
  const inRoles = (...roles: readonly PluginRole[]) =>
    members.filter(({ plugin }) => plugin.kind !== null && roles.includes(plugin.kind.role));
  const scorers = inRoles('scorer', 'pair-scorer').map(({ plugin, weight = 1 }) => ({ ...specOf(plugin), weight }));
  const [picker] = inRoles('picker', 'pair-picker');
  const [scorer] = inRoles('scorer', 'pair-scorer');
  const direction = scorer === undefined ? 'cost' : directionOf(scorer.plugin);
  return {
    filters: inRoles('filter', 'pair-filter').map(({ plugin }) => specOf(plugin)),
    scorers,
    picker: picker === undefined ? { type: defaults[direction] } : specOf(picker.plugin),
    handlers: inRoles('handler').map(({ plugin }) => specOf(plugin)),
  };
}

/** A plugin with the parameters that it reads itself. */
function specOf({ type, kind, parameters }: Declared): PluginSpec {
  return { type, parameters: Object.fromEntries(Object.entries(parameters).filter(([name]) => kind?.own.has(name))) };
}
