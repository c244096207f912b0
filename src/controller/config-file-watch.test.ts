import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import { ConfigFileState, type ConfigSnapshot } from './config-file-state.ts';
import { ConfigFileError, ConfigFileWatch } from './config-file-watch.ts';

let folder: string;
let path: string;
let clock: ManualClock;
let seen: string[];
let watch: ConfigFileWatch;

/** The strategy in force, and what is wrong. */
const told = ({ policies, faults }: ConfigSnapshot): string =>
  [...policies.map(({ resource }) => resource.spec.strategy.type), ...faults.map(({ message }) => message)].join(', ');

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hermes-config-'));
  path = join(folder, 'config.yaml');
  clock = new ManualClock();
  seen = [];
  watch = new ConfigFileWatch(new ConfigFileState(path, 'default'), clock, (snapshot) => seen.push(told(snapshot)));
});

afterEach(() => {
  watch.close();
  rmSync(folder, { recursive: true, force: true });
});

const config = (strategy: string): string =>
  `app: {discovery: {labelSelector: {app: vllm}, inferencePort: 8000}, strategy: ${strategy}}`;
const write = (strategy: string): void => writeFileSync(path, config(strategy));

/** Looks so many times. */
const look = (times = 1): void => clock.advance(300 * times);

describe('ConfigFileWatch', () => {
  it('reads the file at the start, and says nothing while nothing changes', () => {
    write('random');
    watch.start();
    look(10);
    expect(seen).toEqual(['Random']);
  });

  it('takes in a change within two seconds, once', () => {
    write('random');
    watch.start();
    write('round-robin');
    clock.advance(2000);
    expect(seen).toEqual(['Random', 'RoundRobin']);
  });

  it('takes in a change that the file system does not tell: same size, same time', () => {
    write('random');
    watch.start();
    const { atime, mtime } = statSync(path);
    writeFileSync(path, config('random').replace('8000', '8001'));
    utimesSync(path, atime, mtime);
    look(2);
    expect(seen).toEqual(['Random', 'Random']);
  });

  it('waits for a file that is being written', () => {
    write('random');
    watch.start();
    const whole = config('round-robin');
    for (const length of [0, 5, 20, whole.length - 2]) {
      writeFileSync(path, whole.slice(0, length));
      look();
    }
    expect(seen).toEqual(['Random']);
    writeFileSync(path, whole);
    look(2);
    expect(seen).toEqual(['Random', 'RoundRobin']);
  });

  it('takes in the swap of a mounted ConfigMap', () => {
    for (const [version, strategy] of [['..v1', 'random'], ['..v2', 'round-robin']]) {
      mkdirSync(join(folder, version));
      writeFileSync(join(folder, version, 'config.yaml'), config(strategy));
    } // prettier-ignore
    symlinkSync('..v1', join(folder, '..data'));
    symlinkSync(join('..data', 'config.yaml'), path);
    watch.start();
    symlinkSync('..v2', join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
    rmSync(join(folder, '..v1'), { recursive: true });
    look(2);
    expect(seen).toEqual(['Random', 'RoundRobin']);
  });

  it.each([
    ['is deleted', () => rmSync(path), 'does not exist'],
    ['is emptied', () => truncateSync(path), 'is empty'],
    ['breaks', () => write('[random'), 'is no YAML: missed comma between flow collection entries'],
    ['becomes a folder', () => (rmSync(path), mkdirSync(path)), 'is no file'],
    ['becomes a pipe', () => (rmSync(path), execFileSync('mkfifo', [path])), 'is no file'],
    ['becomes huge', () => truncateSync(path, 1024 * 1024 + 1), 'is larger than 1 MiB'],
    ['leads round in circles', () => (rmSync(path), symlinkSync('config.yaml', path)), 'cannot be read (ELOOP)'],
  ])('says once that the file %s, keeps what was in force, and goes on when it is back', (_, change, fault) => {
    write('random');
    watch.start();
    change();
    look(6);
    expect(seen).toEqual(['Random', `Random, ${fault}`]);
    rmSync(path, { recursive: true, force: true });
    write('round-robin');
    look(3);
    expect(seen.slice(2)).toEqual(['RoundRobin']);
  });

  it('sees that a file is back as it was', () => {
    write('random');
    watch.start();
    renameSync(path, `${path}.aside`);
    look(2);
    renameSync(`${path}.aside`, path);
    look(2);
    expect(seen).toEqual(['Random', 'Random, does not exist', 'Random']);
  });

  it('says nothing of a file that is replaced between two looks', () => {
    write('random');
    watch.start();
    rmSync(path);
    look();
    write('random');
    look(3);
    expect(seen).toEqual(['Random']);
  });

  it('throws at the start where there is no file', () => {
    expect(() => watch.start()).toThrow('ENOENT');
    expect(clock.pending).toBe(0);
  });

  it.each([
    ['a file at fault', () => write('kv-awre'), [{ line: 1, path: 'app.strategy', message: 'is "kv-awre"' }]],
    ['a folder', () => mkdirSync(path), [{ line: 1, path: '', message: 'is no file' }]],
  ])('throws at the start for %s, with its faults', (_, make, faults) => {
    make();
    let error: unknown;
    try {
      watch.start();
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ConfigFileError);
    expect(error).toMatchObject({ message: `the configuration ${path} has 1 fault`, faults });
    expect([seen, clock.pending]).toEqual([[], 0]);
  });

  it('looks no more once it is closed', () => {
    write('random');
    watch.start();
    watch.close();
    expect(clock.pending).toBe(0);
  });
});
