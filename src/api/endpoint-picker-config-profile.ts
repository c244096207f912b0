import { isPicker, isPlaced, isScorer, resolve, type Declared } from './endpoint-picker-config-declared.ts';
import type { Findings } from './endpoint-picker-config-findings.ts';
import type { PickerDocument } from './endpoint-picker-config-schema.ts';

type Plugins = ReadonlyMap<string, Declared>;

/** A plugin's place in the profile. */
export interface Member {
  readonly plugin: Declared;
  readonly weight: number | undefined;
  /** `schedulingProfiles[0].plugins[1]` */
  readonly path: string;
}

/** The profile in force. */
export interface Chosen {
  readonly name: string;
  readonly members: readonly Member[];
  readonly path: string;
}

/** The one profile of a document, or one of all its plugins; null where that cannot be told, which is a fault. */
export function chosenProfile(document: PickerDocument, plugins: Plugins, found: Findings): Chosen | null {
  const profiles = document.schedulingProfiles ?? [];
  if (profiles.length === 0) return ofAllPlugins(plugins);
  if (profiles.length > 1) {
    // A profile handler that is not supported has been refused by name, and tells more.
    if (![...plugins.values()].some(({ type, kind }) => kind === null && type.endsWith('-handler')))
      found.fault(
        'schedulingProfiles[1]',
        'is a second profile, and single-profile-handler, the only handler, runs one',
        'keep one profile; prefill and decode are chosen in one by the PD plugins',
      );
    return null;
  }
  const [{ name, plugins: entries }] = profiles;
  const path = 'schedulingProfiles[0]';
  const members = entries.flatMap(({ pluginRef, weight }, i): Member[] => {
    const at = `${path}.plugins[${i}]`;
    const plugin = resolve(pluginRef, `${at}.pluginRef`, plugins, found);
    return plugin === undefined ? [] : [{ plugin, weight, path: at }];
  });
  const whole = [...members, ...strays(members, plugins, found)];
  noteWeights(whole, found);
  noteUnused(plugins, whole, found);
  return { name, members: whole, path };
}

function ofAllPlugins(plugins: Plugins): Chosen {
  const members = [...plugins.values()]
    .filter(isPlaced)
    .map((plugin) => ({ plugin, weight: undefined, path: plugin.path }));
  return { name: 'default', members, path: 'plugins' };
}

/**
 * What is in force without standing in the profile, as in the reference picker: handlers, and the only picker that is
 * declared where the profile has none.
 */
function strays(members: readonly Member[], plugins: Plugins, found: Findings): Member[] {
  const named = new Set(members.map(({ plugin }) => plugin));
  const others = [...plugins.values()].filter((plugin) => !named.has(plugin));
  const pickers = others.filter(isPicker);
  const taken = others.filter(({ kind }) => kind?.role === 'handler');
  if (pickers.length === 1 && ![...named].some(isPicker)) taken.push(...pickers);
  return taken.map((plugin) => {
    found.note(
      plugin.path,
      `${plugin.name} is in force, although the profile does not name it`,
      'add it to the profile',
    );
    return { plugin, weight: undefined, path: plugin.path };
  });
}

function noteWeights(members: readonly Member[], found: Findings): void {
  for (const { plugin, weight, path } of members) {
    if (weight === undefined) continue;
    if (weight === 0 && isScorer(plugin))
      found.note(
        `${path}.weight`,
        `takes ${plugin.name} out of the sum`,
        'remove the scorer, or write a weight above 0',
      );
    else if (!isScorer(plugin)) found.note(`${path}.weight`, 'has no effect: only scorers are weighted');
  }
}

function noteUnused(plugins: Plugins, members: readonly Member[], found: Findings): void {
  const used = new Set(members.map(({ plugin }) => plugin));
  for (const plugin of plugins.values()) {
    if (used.has(plugin) || !isPlaced(plugin)) continue;
    found.note(
      plugin.path,
      `${plugin.name} stands in no profile and does nothing`,
      'add it to a profile, or remove it',
    );
  }
}
