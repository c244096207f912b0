import { registry } from '../policies/index.ts';
import { instead } from './endpoint-picker-config-foreign.ts';
import { pluginKinds, type PluginKind, type PluginRole } from './endpoint-picker-config-plugins.ts';
import { apiVersions, pickerConfigSchema } from './endpoint-picker-config-schema.ts';
import { entry, fieldTable, generated, page } from './reference.ts';
import type { SchemaNode } from './schema-node.ts';

const sections: readonly (readonly [title: string, roles: readonly PluginRole[]])[] = [
  ['Filters', ['filter']],
  ['Scorers', ['scorer']],
  ['Pickers', ['picker']],
  ['Plugins of pairs', ['pair-filter', 'pair-scorer', 'pair-picker', 'handler']],
  ['Declared only', ['profile-handler', 'detector', 'parser', 'builtin']],
];

const roleWords: Partial<Record<PluginRole, string>> = {
  'pair-filter': 'Filter.',
  'pair-scorer': 'Scorer; a cost: the lowest wins.',
  'pair-picker': 'Picker.',
  handler: 'Handler.',
};

/** The same fields a second time would be no news. */
const older: SchemaNode = { type: 'object', description: 'What `dataLayer` was called before.' };

/** The reference page of the configuration file of an endpoint picker. */
export function pickerConfigPage(): string {
  return page([
    generated,
    '# EndpointPickerConfig',
    `The file of \`hermes-router epp --config-file\`; [the guide](../guides/endpoint-picker-config.md) says how to use it. \`apiVersion\`: ${apiVersions.map((version) => `\`${version}\``).join(', ')}. Unknown fields and parameters are refused.`,
    '## Fields',
    fieldTable({ ...pickerConfigSchema, properties: { ...pickerConfigSchema.properties, data: older } }, ''),
    ...sections.flatMap(([title, roles]) => [
      `## ${title}`,
      ...[...pluginKinds]
        .filter(([, { role }]) => roles.includes(role))
        .flatMap(([type, kind]) => pluginEntry(type, kind)),
    ]),
    '## Not supported',
    'Plugins of the reference picker and of llm-d that are refused by name, and what to do instead.',
    [
      '| type | instead |',
      '|---|---|',
      ...Object.entries(instead).map(([type, cure]) => `| \`${type}\` | ${cure} |`),
    ].join('\n'),
  ]);
}

function pluginEntry(type: string, { role, summary, parameters }: PluginKind): string[] {
  const direction = registry.scorers.get(type)?.direction;
  const ends = { cost: 'A cost: the lowest wins.', gain: 'A gain: the highest wins.' };
  const more = direction === undefined ? roleWords[role] : ends[direction];
  return entry({ type, summary, parameters }, more === undefined ? [] : [more]);
}
