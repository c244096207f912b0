// The generated part of each page of docs/policies: what a definition itself says.
import { registry } from '../src/policies/index.ts';
import { fieldTable } from '../src/api/reference.ts';
import { withSection } from './sections.ts';

type Definition = NonNullable<(typeof definitions)[number]>;

const definitions = Object.values(registry).flatMap((kind) => [...kind.values()]);

const policyPlace = '`spec.strategy.profile` of a RoutingPolicy, or an EndpointPickerConfig';
const pairsPlace = 'an EndpointPickerConfig, in a profile with [filter-by-pd-label](filter-by-pd-label.md)';

const kinds: Readonly<Record<Definition['kind'], readonly [what: string, where: string]>> = {
  filter: ['Filter', `${policyPlace}, among its filters`],
  scorer: ['Scorer', `${policyPlace}, among its scorers`],
  picker: ['Picker', `${policyPlace}, as its picker`],
  'pair-filter': ['Filter of pairs', 'an EndpointPickerConfig; it makes a profile one of pairs'],
  'pair-scorer': ['Scorer of pairs', pairsPlace],
  'pair-picker': ['Picker of pairs', pairsPlace],
  handler: ['Handler', pairsPlace],
  preset: ['Strategy', ''],
};

/** What a definition says of itself, as rows of two cells. */
function facts(definition: Definition): [string, string][] {
  const [what, where] = kinds[definition.kind];
  const rows: [string, string][] = [['kind', what]];
  if (definition.kind === 'scorer')
    rows.push(['best', definition.direction === 'cost' ? 'a cost: the lowest sum' : 'a gain: the highest sum']);
  if (definition.kind === 'pair-scorer') rows.push(['best', 'a cost: the lowest sum']);
  if (definition.kind === 'scorer' || definition.kind === 'pair-scorer')
    rows.push([
      'reads prefix hits',
      definition.readsHits ? 'yes: `kvCache` of the BackendGroup says who knows them' : 'no',
    ]);
  if (definition.kind === 'picker' && definition.takes !== undefined) rows.push(['goes with', `${definition.takes}s`]);
  rows.push(['written in', definition.kind === 'preset' ? presetPlace(definition.type, definition.member) : where]);
  return rows;
}

const presetPlace = (type: string, member: string): string =>
  `\`spec.strategy\` of a RoutingPolicy: \`type: ${type}\`, parameters in \`${member}\`; ` +
  `[the profile that it stands for](../reference/policies.md#${type.toLowerCase()})`;

/** The generated section of a definition's page. */
export function policySection(definition: Definition): string {
  const rows = facts(definition).map(([name, value]) => `| ${name} | ${value} |`);
  const none = Object.keys(definition.parameters.properties).length === 0;
  return [
    [rows[0], '|---|---|', ...rows.slice(1)].join('\n'),
    none ? 'No parameters.' : fieldTable(definition.parameters, ''),
  ].join('\n\n');
}

/** The pages of docs/policies with their generated parts brought up to date, by path. */
export const policyPages = (): (readonly [path: string, text: string])[] =>
  definitions.map((definition) => {
    const path = `docs/policies/${definition.type}.md`;
    return [path, withSection(path, 'parameters', policySection(definition))] as const;
  });
