import { dump } from 'js-yaml';
import type { PresetDefinition, ProfileSpec } from '../policies/definition.ts';
import { registry } from '../policies/index.ts';
import { withDefaults } from './defaults.ts';
import type { Kind } from './kinds.ts';
import { apiVersion } from './resource.ts';
import type { SchemaNode } from './schema-node.ts';
import { expandStrategy } from './strategy.ts';

export const generated = '<!-- Generated from src/api by scripts/generate.ts; do not edit. -->';

/** The reference page of a resource: a table of its fields. */
export function resourcePage({ kind, shortName, schema, status }: Kind): string {
  const spec = schema.properties?.spec ?? {};
  return page([
    generated,
    `# ${kind}`,
    `${schema.description} \`${apiVersion}\`, short name \`${shortName}\`, namespaced.`,
    'Unknown fields are refused. Durations are written like `1m30s` or `250ms`. A field without a default may be left out unless it is marked as required.',
    '## spec',
    fieldTable(spec, 'spec'),
    '## status',
    'Written by the router.',
    fieldTable(status, 'status'),
  ]);
}

/** What a reference page says of a plugin. */
export interface Documented {
  readonly type: string;
  readonly summary: string;
  readonly parameters: SchemaNode;
}

/** The reference page of every plugin and preset of the registry. */
export function policiesPage(): string {
  return page([
    generated,
    '# Policies',
    'What `spec.strategy` of a RoutingPolicy may name: presets by `type`, the rest in a `profile`.',
    '## Presets',
    ...[...registry.presets.values()].flatMap((preset) => [
      ...entry(preset, [`Member \`${preset.member}\`.`]),
      ...expanded(preset),
    ]),
    '## Scorers',
    'The weighted scores of a profile are added up; all its scorers are costs (the lowest sum wins) or all are gains (the highest).',
    ...[...registry.scorers.values()].flatMap((scorer) =>
      entry(scorer, [scorer.direction === 'cost' ? 'A cost: the lowest wins.' : 'A gain: the highest wins.']),
    ),
    '## Filters',
    ...[...registry.filters.values()].flatMap((filter) => entry(filter, [])),
    '## Pickers',
    ...[...registry.pickers.values()].flatMap((picker) => entry(picker, [])),
  ]);
}

function expanded({ type, member, parameters }: PresetDefinition): string[] {
  const { profile, pairs } = expandStrategy({ type, [member]: withDefaults(parameters, {}) });
  const single = `With its defaults it is this profile:\n\n${yaml(profile)}`;
  return pairs === undefined
    ? [single]
    : [single, `For backends of topology PrefillDecode it is this one:\n\n${yaml(pairs)}`];
}

const yaml = (profile: ProfileSpec): string => `\`\`\`yaml\n${dump(profile, { noRefs: true })}\`\`\``;

/** The section of a plugin: what it does, and its parameters. */
export function entry({ type, summary, parameters }: Documented, more: readonly string[]): string[] {
  const none = Object.keys(parameters.properties ?? {}).length === 0;
  return [`### ${type}`, [summary, ...more].join(' '), none ? 'No parameters.' : fieldTable(parameters, '')];
}

/** A table of the fields below a node. */
export function fieldTable(node: SchemaNode, path: string): string {
  const rows = fieldRows(node, path).map((cells) => `| ${cells.map(cell).join(' | ')} |`);
  return ['| field | type | default | description |', '|---|---|---|---|', ...rows].join('\n');
}

/** One row a field, in the order of the schema. */
function fieldRows(node: SchemaNode, path: string): string[][] {
  const required = node.required ?? [];
  return Object.entries(node.properties ?? {}).flatMap(([name, field]) => {
    const at = path === '' ? name : `${path}.${name}`;
    const needed = required.includes(name) && field.default === undefined;
    const inner = field.items === undefined ? fieldRows(field, at) : fieldRows(field.items, `${at}[]`);
    return [[`\`${at}\``, typeOf(field), needed ? 'required' : defaultOf(field), field.description ?? ''], ...inner];
  });
}

function typeOf(node: SchemaNode): string {
  if (node.enum !== undefined) return node.enum.map((value) => `\`${value}\``).join(', ');
  if (node.items !== undefined) return `list of ${typeOf(node.items)}, at most ${node.maxItems ?? 'any number'}`;
  if (typeof node.additionalProperties === 'object') return `map of ${typeOf(node.additionalProperties)}`;
  if (node['x-words'] !== undefined) return node['x-words'];
  const { minimum, maximum } = node;
  return minimum === undefined || maximum === undefined
    ? (node.type ?? '')
    : `${node.type ?? ''} ${minimum}..${maximum}`;
}

function defaultOf({ default: value }: SchemaNode): string {
  // `{}` only says that the fields below have defaults; a pending status is no news to a reader.
  if (value === undefined || JSON.stringify(value) === '{}' || JSON.stringify(value).includes('"conditions"'))
    return '';
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** A page of blocks; empty ones are left out. */
export const page = (blocks: readonly string[]): string => `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
