import { describe, expect, it } from 'vitest';
import { countFlag, durationFlag, listenFlag, listFlag, readFlags, refuseBeside, sizeFlag } from './flags.ts';
import { UsageError } from './io.ts';

const defaults = { 'max-body': '16Mi', listen: '127.0.0.1:8000', help: false } as const;

describe('readFlags', () => {
  const cases: [string, string[], NodeJS.ProcessEnv, object][] = [
    ['the defaults', [], {}, { 'max-body': '16Mi', listen: '127.0.0.1:8000', help: false }],
    ['what is given', ['--max-body', '5', '--help'], {}, { 'max-body': '5', help: true }],
    ['what is given with an equals sign', ['--max-body=5'], {}, { 'max-body': '5' }],
    ['the environment twin', [], { HERMES_MAX_BODY: '7' }, { 'max-body': '7' }],
    ['what is given before the environment', ['--max-body', '5'], { HERMES_MAX_BODY: '7' }, { 'max-body': '5' }],
    ['an empty value', ['--listen', ''], { HERMES_LISTEN: 'x' }, { listen: '' }],
    ['a boolean of the environment', [], { HERMES_HELP: 'true' }, { help: true }],
    ['no other word of the environment as true', [], { HERMES_HELP: '1' }, { help: false }],
    ['the last of two', ['--max-body', '5', '--max-body', '6'], {}, { 'max-body': '6' }],
  ];
  it.each(cases)('reads %s', (_name, argv, env, wanted) => {
    expect(readFlags(argv, defaults, env)).toMatchObject(wanted);
  });

  const refused: [string, string[]][] = [
    ['an unknown flag', ['--max-boddy', '5']],
    ['a word that is no flag', ['serve']],
    ['a flag without its value', ['--max-body']],
    ['a value for a boolean', ['--help=yes']],
    ['another flag in place of a value', ['--max-body', '--help']],
  ];
  it.each(refused)('refuses %s', (_name, argv) => {
    expect(() => readFlags(argv, defaults, {})).toThrow(UsageError);
  });
});

describe('refuseBeside', () => {
  const given = (...argv: string[]): (() => void) => {
    const values = readFlags(argv, defaults, {});
    return () => refuseBeside('manifests', ['listen', 'help'], values, defaults);
  };

  it('names the flags that have no effect there, and no other', () => {
    expect(given('--listen', 'x', '--help', '--max-body', '5')).toThrow(
      new UsageError('--listen, --help: without effect beside --manifests; leave it out'),
    );
  });

  it.each([[['--max-body', '5']], [[]], [['--listen', defaults.listen]]])('lets %j pass', (argv) => {
    expect(given(...argv)).not.toThrow();
  });
});

describe('listFlag', () => {
  it.each([
    ['', []],
    ['a', ['a']],
    [' a , b,, c:1 ', ['a', 'b', 'c:1']],
    [',', []],
  ])('reads %j', (text, items) => {
    expect(listFlag(text)).toEqual(items);
  });
});

/** What a reader makes of texts; null where it refuses them with a sentence that names the flag and the text. */
function readBy<T>(reader: (name: string, text: string) => T, text: string): T | null {
  try {
    return reader('some-flag', text);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    expect(error.message).toContain(`--some-flag ${text}: write `);
    return null;
  }
}

describe('sizeFlag', () => {
  it.each([
    ['0', 0], ['1', 1], ['1000', 1000], ['1Ki', 1024], ['16Mi', 16_777_216], ['2Gi', 2_147_483_648],
    ['', null], ['-1', null], ['1.5Mi', null], ['1K', null], ['1MiB', null], ['1 Mi', null], ['Mi', null], ['1mi', null], ['9999999999999', null],
  ])('takes %j for %j', (text, wanted) => expect(readBy(sizeFlag, text)).toBe(wanted)); // prettier-ignore
});

describe('durationFlag', () => {
  it.each([
    ['5s', 5000], ['250ms', 250], ['1m30s', 90_000], ['0s', 0], ['2h', 7_200_000],
    ['', null], ['5', null], ['-5s', null], ['1.5s', null], ['5 s', null], ['5sec', null],
  ])('takes %j for %j', (text, wanted) => expect(readBy(durationFlag, text)).toBe(wanted)); // prettier-ignore
});

describe('countFlag', () => {
  it.each([
    ['0', 0], ['300', 300], ['', null], ['-1', null], ['1.5', null], ['ten', null], ['1e3', null],
  ])('takes %j for %j', (text, wanted) => expect(readBy(countFlag, text)).toBe(wanted)); // prettier-ignore
});

describe('listenFlag', () => {
  it.each([
    ['127.0.0.1:8000', { host: '127.0.0.1', port: 8000 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    [':8000', { host: '0.0.0.0', port: 8000 }],
    ['[::1]:8000', { host: '::1', port: 8000 }],
    ['[::]:65535', { host: '::', port: 65_535 }],
    ['8000', null], ['127.0.0.1', null], ['127.0.0.1:', null], ['127.0.0.1:65536', null], ['::1:8000', null],
    ['[::1]', null], ['[]:80', null], ['http://127.0.0.1:8000', null], ['127.0.0.1:80x', null], ['', null],
  ])('takes %j for %j', (text, wanted) => expect(readBy(listenFlag, text)).toEqual(wanted)); // prettier-ignore
});
