import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { contextOf } from '../../test/fixtures/fleet.ts';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import { buildProfile } from '../policies/build.ts';
import { registry } from '../policies/index.ts';
import { EndpointStates } from '../router/states.ts';
import { readPickerConfig } from './endpoint-picker-config-file.ts';
import { pluginKinds } from './endpoint-picker-config-plugins.ts';

const root = join(import.meta.dirname, '../..');
const files = (folder: string): string[] => readdirSync(join(root, folder)).map((name) => join(root, folder, name));
const bad = files('test/corpus/picker-config/bad');
const examples = files('examples/profiles');
const good = [...files('test/corpus/picker-config/good'), ...examples];
const read = (file: string) => readPickerConfig(readFileSync(file, 'utf8'), file);

describe('the corpus of bad configurations of a picker', () => {
  it('is large', () => {
    expect(bad.length).toBeGreaterThanOrEqual(100);
  });

  it.each(bad)('%s has one fault, at the field and line and with the cure that it says', (file) => {
    const lines = readFileSync(file, 'utf8').split('\n');
    const [, path, message] = /^# expect: (\S+) (.+)$/.exec(lines[0]) ?? [];
    const [, cure] = /^# cure: (.+)$/.exec(lines[1]) ?? [];
    const { config, faults } = read(file);
    expect(config).toBeNull();
    const marked = lines.findIndex((text) => text.includes('# <- here'));
    expect(faults).toEqual([
      {
        file,
        // What is missing has no line of its own.
        line: marked < 0 ? 1 : marked + 1,
        path: path === '-' ? '' : path,
        message: expect.stringContaining(message),
        cure: expect.stringContaining(cure),
      },
    ]);
  });
});

describe('the corpus of good configurations of a picker and the examples', () => {
  it('holds the four profiles of v25.12', () => {
    const names = examples.map((file) => file.split('/').at(-1));
    for (const name of ['random-pd-bucket', 'pd-bucket', 'pd-kv-cache-aware', 'kv-cache-aware'])
      expect(names).toContain(`epp-${name}.yaml`);
  });

  it.each(good)('%s is accepted, and its profile can be built', (file) => {
    const { config, faults } = read(file);
    expect(faults).toEqual([]);
    if (config === null) throw new Error('without a fault there is a configuration');
    const context = contextOf(new EndpointStates(8), () => 0.5, new ManualClock());
    expect(buildProfile(config.profile, registry, context).parts.description).toMatch(/./);
  });

  it('knows every plugin of the registry', () => {
    const { presets: _presets, ...plugins } = registry;
    for (const ofKind of Object.values(plugins))
      for (const type of ofKind.keys()) expect([...pluginKinds.keys()]).toContain(type);
  });
});
