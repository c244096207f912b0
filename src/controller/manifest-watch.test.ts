import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import { ManifestWatch } from './manifest-watch.ts';

let folder: string;
let clock: ManualClock;
let seen: Record<string, string>[];
let failures: unknown[];
let watch: ManifestWatch;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hermes-watch-'));
  clock = new ManualClock();
  seen = [];
  failures = [];
  watch = new ManifestWatch(folder, clock, {
    changed: (files) => seen.push(Object.fromEntries(files.map(({ path, text }) => [basename(path), text]))),
    failed: (error) => failures.push(error),
  });
});

afterEach(() => {
  watch.close();
  rmSync(folder, { recursive: true, force: true });
});

const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);

/** Looks so many times. */
const look = (times = 1): void => clock.advance(300 * times);

describe('ManifestWatch', () => {
  it('reads the folder at the start', () => {
    write('a.yaml', '1');
    write('b.json', '2');
    write('c.yml', '3');
    write('notes.txt', 'no');
    write('.hidden.yaml', 'no');
    watch.start();
    expect(seen).toEqual([{ 'a.yaml': '1', 'b.json': '2', 'c.yml': '3' }]);
  });

  it('says nothing while nothing changes', () => {
    write('a.yaml', '1');
    watch.start();
    look(10);
    expect(seen).toHaveLength(1);
  });

  it('throws at the start where there is no folder', () => {
    rmSync(folder, { recursive: true });
    expect(() => watch.start()).toThrow('ENOENT');
  });

  const changes: [string, () => void, Record<string, string>][] = [
    ['a changed file', () => write('a.yaml', 'changed'), { 'a.yaml': 'changed', 'b.yaml': '2' }],
    ['a new file', () => write('c.yaml', '3'), { 'a.yaml': '1', 'b.yaml': '2', 'c.yaml': '3' }],
    ['a deleted file', () => unlinkSync(join(folder, 'b.yaml')), { 'a.yaml': '1' }],
    ['a renamed file', () => renameSync(join(folder, 'b.yaml'), join(folder, 'c.yaml')), { 'a.yaml': '1', 'c.yaml': '2' }],
    ['a new folder', () => (mkdirSync(join(folder, 'd')), write('d/x.yaml', '4')), { 'a.yaml': '1', 'b.yaml': '2', 'x.yaml': '4' }],
    ['a file put in the place of another of the same size', () => (write('new', '9'), renameSync(join(folder, 'new'), join(folder, 'a.yaml'))), { 'a.yaml': '9', 'b.yaml': '2' }],
  ]; // prettier-ignore
  it.each(changes)('takes in %s within two seconds, once', (_name, change, wanted) => {
    write('a.yaml', '1');
    write('b.yaml', '2');
    watch.start();
    change();
    clock.advance(2000);
    expect(seen.slice(1)).toEqual([wanted]);
  });

  it('waits for a file that is being written', () => {
    write('a.yaml', 'whole');
    watch.start();
    for (const text of ['', 'ha', 'half', 'half of']) {
      write('a.yaml', text);
      look();
    }
    expect(seen).toHaveLength(1);
    write('a.yaml', 'half of the new whole');
    look(2);
    expect(seen.slice(1)).toEqual([{ 'a.yaml': 'half of the new whole' }]);
  });

  it('takes in the swap of a mounted ConfigMap', () => {
    for (const [version, text] of [['..v1', 'old'], ['..v2', 'new']]) {
      mkdirSync(join(folder, version));
      write(`${version}/a.yaml`, text);
    } // prettier-ignore
    symlinkSync('..v1', join(folder, '..data'));
    symlinkSync(join('..data', 'a.yaml'), join(folder, 'a.yaml'));
    watch.start();
    symlinkSync('..v2', join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
    rmSync(join(folder, '..v1'), { recursive: true });
    look(2);
    expect(seen).toEqual([{ 'a.yaml': 'old' }, { 'a.yaml': 'new' }]);
    expect(failures).toEqual([]);
  });

  it('says once that the folder is gone, keeps what was in force, and goes on when it is back', () => {
    write('a.yaml', '1');
    watch.start();
    const aside = `${folder}-aside`;
    renameSync(folder, aside);
    look(5);
    expect(failures).toHaveLength(1);
    expect(seen).toHaveLength(1);
    renameSync(aside, folder);
    write('a.yaml', 'back');
    look(3);
    expect(seen.slice(1)).toEqual([{ 'a.yaml': 'back' }]);
    renameSync(folder, aside);
    look(2);
    expect(failures).toHaveLength(2);
    renameSync(aside, folder);
  });

  it('watches a single file whatever its name', () => {
    write('conf', '1');
    const one = new ManifestWatch(join(folder, 'conf'), clock, {
      changed: (files) => seen.push(Object.fromEntries(files.map(({ path, text }) => [basename(path), text]))),
      failed: (error) => failures.push(error),
    });
    one.start();
    write('conf', 'two');
    look(2);
    expect(seen).toEqual([{ conf: '1' }, { conf: 'two' }]);
    one.close();
  });

  it('looks no more once it is closed', () => {
    watch.start();
    watch.close();
    expect(clock.pending).toBe(0);
  });
});
