import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readPickerConfig } from './endpoint-picker-config-file.ts';
import { instead } from './endpoint-picker-config-foreign.ts';
import { pluginKinds } from './endpoint-picker-config-plugins.ts';
import { pickerConfigPage } from './endpoint-picker-config-reference.ts';
import { runValidate } from './validate-command.ts';
import { validateFiles } from './validate.ts';

const root = join(import.meta.dirname, '../..');
const plain = `apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
  - type: queue-scorer
  - type: kv-cache-utilization-scorer
schedulingProfiles:
  - name: default
    plugins:
      - pluginRef: queue-scorer
`;
const indented = (text: string): string => text.replaceAll(/^(?=.)/gm, '        ');
const values = (text: string, more = ''): string =>
  `inferencepool:\n  inferenceExtension:\n    pluginsConfigFile: a.yaml\n    pluginsCustomConfig:\n${more}      a.yaml: |\n${indented(text)}`;

const places = (found: readonly { readonly line: number; readonly path: string }[]): string[] =>
  found.map(({ line, path }) => `${line} ${path}`);

describe('a configuration file', () => {
  it('is told where its notes are', () => {
    const { config, notes } = readPickerConfig(plain, 'a.yaml');
    expect(config?.name).toBe('default');
    expect(places(notes)).toEqual(['5 plugins[1]']);
  });

  it('is told its faults in the order of its lines', () => {
    const text = plain.replace('name: default', 'title: default').replace('apiVersion', 'apiversion');
    expect(places(readPickerConfig(text, 'a.yaml').faults)).toEqual([
      '1 apiVersion',
      '1 apiversion',
      '7 schedulingProfiles[0].name',
      '7 schedulingProfiles[0].title',
    ]);
  });

  it('may begin with a byte order mark and comments', () => {
    expect(readPickerConfig(`\ufeff# ours\n${plain}`, 'a.yaml').faults).toEqual([]);
  });

  it('may be JSON', () => {
    const text = '{"apiVersion": "llm-d.ai/v1", "kind": "EndpointPickerConfig", "plugins": [{"type": "queue-scorer"}]}';
    expect(readPickerConfig(text, 'a.json').config?.profile.scorers).toMatchObject([{ type: 'queue-scorer' }]);
  });
});

describe('a values file', () => {
  it('says the same as the text that it holds', () => {
    expect(readPickerConfig(values(plain), 'v.yaml').config).toEqual(readPickerConfig(plain, 'a.yaml').config);
  });

  it('is told notes and faults by their lines in the whole file', () => {
    expect(places(readPickerConfig(values(plain), 'v.yaml').notes)).toEqual(['10 plugins[1]']);
    const faulty = values(plain.replace('type: kv-cache', 'type: kv-cash'));
    expect(places(readPickerConfig(faulty, 'v.yaml').faults)).toEqual(['10 plugins[1].type']);
    const broken = values(plain.replace('plugins:\n  -', 'plugins: }\n  -'));
    expect(places(readPickerConfig(broken, 'v.yaml').faults)).toEqual(['8 ']);
  });

  it('may hold other texts, which are not read', () => {
    const { config, notes } = readPickerConfig(values(plain, '      b.yaml: "kind: nothing"\n'), 'v.yaml');
    expect(config).not.toBeNull();
    expect(places(notes)[0]).toBe('5 inferencepool.inferenceExtension.pluginsCustomConfig[b.yaml]');
  });
});

describe('validate', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'picker-config-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it('counts configurations of pickers, also beside manifests, and tells their faults with exit code 1', async () => {
    const good = join(folder, 'good.yaml');
    writeFileSync(good, `${plain}---\napiVersion: v1\nkind: Service\n`);
    expect(validateFiles([good], { strict: false })).toMatchObject({ configs: 1, resources: 0, faults: [] });
    const bad = join(folder, 'bad.yaml');
    writeFileSync(bad, values(plain.replace('pluginRef: queue-scorer', 'pluginRef: queue')));
    const out: string[] = [];
    const io = { out: (line: string) => out.push(line), err: () => undefined };
    expect(await runValidate([bad], io)).toBe(1);
    const field = 'schedulingProfiles[0].plugins[0].pluginRef';
    expect(out).toEqual([
      `${bad}:14: ${field}: names queue, which \`plugins\` does not hold; name an entry of \`plugins\``,
    ]);
  });

  it('of another kind of the same group is passed over', () => {
    const path = join(folder, 'other.yaml');
    writeFileSync(path, 'apiVersion: llm-d.ai/v1alpha2\nkind: InferenceObjective\n');
    expect(validateFiles([path], { strict: false })).toMatchObject({ configs: 0, faults: [], notes: [{}] });
  });
});

describe('the documents', () => {
  const guide = readFileSync(join(root, 'docs/guides/endpoint-picker-config.md'), 'utf8');

  it('list every plugin', () => {
    for (const type of pluginKinds.keys()) expect(guide).toContain(`\`${type}\``);
  });

  it('list every plugin that is refused by name, once, and none that is there', () => {
    for (const type of Object.keys(instead)) {
      expect(pickerConfigPage().split(`| \`${type}\` |`)).toHaveLength(2);
      expect([...pluginKinds.keys()]).not.toContain(type);
    }
  });

  it('name only plugins that exist in what to do instead', () => {
    const names = Object.values(instead).flatMap((cure) => cure.match(/\b[a-z]+(-[a-z]+)+\b/g) ?? []);
    const none = ['cache-indexer'];
    for (const name of names) expect([...pluginKinds.keys(), ...none]).toContain(name);
  });
});
