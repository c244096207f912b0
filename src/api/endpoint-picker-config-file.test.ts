import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
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

describe('files of others', () => {
  const faults = (text: string): string[] =>
    readPickerConfig(text, 'a.yaml').faults.map(({ line, message }) => `${line} ${message}`);

  it('for disaggregated serving by llm-d are told what is not supported, by name', () => {
    const text = `apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: prefix-cache-scorer
- type: prefill-filter
- type: decode-filter
- type: max-score-picker
- type: disagg-profile-handler
  parameters: { deciders: { prefill: prefix-based-pd-decider } }
- type: prefix-based-pd-decider
  parameters: { nonCachedTokens: 16 }
schedulingProfiles:
- name: prefill
  plugins: [{ pluginRef: prefill-filter }, { pluginRef: max-score-picker }, { pluginRef: prefix-cache-scorer, weight: 2 }]
- name: decode
  plugins: [{ pluginRef: decode-filter }, { pluginRef: max-score-picker }, { pluginRef: prefix-cache-scorer, weight: 2 }]
`;
    expect(faults(text)).toEqual([
      '5 is prefill-filter, which is not supported',
      '6 is decode-filter, which is not supported',
      '8 is disagg-profile-handler, which is not supported',
      '10 is prefix-based-pd-decider, which is not supported',
    ]);
  });

  it('for precise prefixes by llm-d are told the same', () => {
    const text = `apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
  - type: token-producer
    parameters: { backend: vllm, vllm: { url: http://localhost:8000 } }
  - type: endpoint-notification-source
  - type: metrics-data-source
  - type: core-metrics-extractor
  - type: single-profile-handler
  - type: precise-prefix-cache-producer
    parameters: { tokenProcessorConfig: { blockSize: 64 } }
  - type: prefix-cache-scorer
    parameters: { prefixMatchInfoProducerName: precise-prefix-cache-producer }
  - type: kv-cache-utilization-scorer
  - type: max-score-picker
dataLayer:
  sources:
    - pluginRef: metrics-data-source
      extractors: [{ pluginRef: core-metrics-extractor }]
    - pluginRef: endpoint-notification-source
      extractors: [{ pluginRef: precise-prefix-cache-producer }]
schedulingProfiles:
  - name: default
    plugins:
      - { pluginRef: prefix-cache-scorer, weight: 2.0 }
      - { pluginRef: kv-cache-utilization-scorer, weight: 1.0 }
      - pluginRef: max-score-picker
`;
    expect(faults(text)).toEqual([
      '4 is token-producer, which is not supported',
      '6 is endpoint-notification-source, which is not supported',
      '10 is precise-prefix-cache-producer, which is not supported',
      '13 is "precise-prefix-cache-producer"',
    ]);
  });
});

describe('a mangled file', () => {
  const examples = readdirSync(join(root, 'examples/profiles'))
    .map((name) => readFileSync(join(root, 'examples/profiles', name), 'utf8'))
    .concat(plain);
  const odd = [
    '',
    '~',
    '-1',
    '.nan',
    '[]',
    '{}',
    '"x"',
    '*a',
    '&a b',
    '!!binary AA==',
    '2026-01-01',
    'constructor',
    '__proto__',
  ];

  it('is never more than faulty, each fault at a line that is there', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...examples),
        fc.array(fc.tuple(fc.nat(), fc.constantFrom('drop', 'twice', 'deeper', 'value'), fc.constantFrom(...odd)), {
          minLength: 1,
          maxLength: 3,
        }),
        (example, changes) => {
          const lines = example.split('\n');
          for (const [at, change, value] of changes) {
            const i = at % lines.length;
            if (change === 'drop') lines.splice(i, 1);
            else if (change === 'twice') lines.splice(i, 0, lines[i] ?? '');
            else if (change === 'deeper') lines[i] = ` ${lines[i] ?? ''}`;
            else lines[i] = (lines[i] ?? '').replace(/: .*$/, `: ${value}`);
            if (lines.length === 0) lines.push('');
          }
          const { config, faults } = readPickerConfig(lines.join('\n'), 'a.yaml');
          expect(config === null).toBe(faults.length > 0);
          for (const { line, message, cure } of faults) {
            expect(line).toBeGreaterThanOrEqual(1);
            expect(line).toBeLessThanOrEqual(lines.length + 1);
            expect(message).toMatch(/./);
            expect(cure).toMatch(/./);
          }
        },
      ),
      { numRuns: 3000, seed: 6 },
    );
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
