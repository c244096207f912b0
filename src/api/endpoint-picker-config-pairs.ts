import { registry } from '../policies/index.ts';
import { isPicker, isScorer } from './endpoint-picker-config-declared.ts';
import type { Findings } from './endpoint-picker-config-findings.ts';
import type { PluginRole } from './endpoint-picker-config-plugins.ts';
import type { Chosen, Member } from './endpoint-picker-config-profile.ts';

/** The picker of the cheapest pair, and the scorer that it is made for. */
const cheapest = { picker: 'picker-pd-kv-cache-aware', scorer: 'scorer-pd-kv-cache-aware' };
const byChance = 'picker-random-pd-bucket';
/** The lowest wins, by chance among equals: what it says is done with pairs, too. */
const eitherPicker = 'picker-min-random';

const pairScorers = [...registry.pairScorers.keys()].join(', ');
const pairPickers = [...registry.pairPickers.keys()].join(', ');
const grouping = [...registry.pairFilters.keys()].join(', ');
const headers = [...registry.handlers.keys()].join(', ');

const roles: readonly PluginRole[] = ['pair-filter', 'pair-scorer', 'pair-picker', 'handler'];

const first = (members: readonly Member[], role: PluginRole): Member | undefined =>
  members.find(({ plugin }) => plugin.kind?.role === role);

/** Whether a profile chooses pairs of a prefiller and a decoder. */
export const choosesPairs = ({ members }: Chosen): boolean => roles.some((role) => first(members, role) !== undefined);

/** Faults for plugins of pairs that cannot work together. */
export function checkPairs({ members, path }: Chosen, found: Findings): void {
  const filter = first(members, 'pair-filter');
  const scorer = first(members, 'pair-scorer');
  const picker = first(members, 'pair-picker');
  const needing = scorer ?? picker ?? first(members, 'handler');
  if (filter === undefined) {
    if (needing === undefined) return;
    const message = `${needing.plugin.name} needs ${grouping}, which tells prefillers, decoders and leaders apart`;
    found.fault(needing.path, message, `add ${grouping} to \`plugins\` and to the profile`);
    return;
  }
  if (scorer === undefined && picker === undefined) {
    const cure = `add one: ${pairScorers}, ${byChance}`;
    found.fault(filter.path, `${filter.plugin.name} stands without a scorer or picker of pairs`, cure);
    return;
  }
  checkPicker(members, found);
  checkSingles(members, found);
  if (first(members, 'handler') === undefined)
    found.note(path, 'does not tell the leader which pair is chosen, so that it chooses by itself', `add ${headers}`);
}

function checkPicker(members: readonly Member[], found: Findings): void {
  const scorer = first(members, 'pair-scorer');
  for (const { plugin, path } of members) {
    if (plugin.type === cheapest.picker && !members.some((member) => member.plugin.type === cheapest.scorer))
      found.fault(path, `${plugin.name} needs ${cheapest.scorer}`, `add ${cheapest.scorer}, or use ${byChance}`);
    if (plugin.type === byChance && scorer !== undefined)
      found.fault(path, `${plugin.name} picks by chance, whatever ${scorer.plugin.name} says`, 'remove one of the two');
  }
}

/** Plugins that judge one engine at a time have nothing to say of pairs. */
function checkSingles(members: readonly Member[], found: Findings): void {
  for (const { plugin, path } of members) {
    if (plugin.kind === null || plugin.kind.role.startsWith('pair-')) continue;
    if (isScorer(plugin))
      found.fault(path, `${plugin.name} scores single endpoints, and this profile chooses pairs`, `use ${pairScorers}`);
    if (isPicker(plugin) && plugin.type !== eitherPicker)
      found.fault(path, `${plugin.name} picks single endpoints, and this profile chooses pairs`, `use ${pairPickers}`);
  }
}
