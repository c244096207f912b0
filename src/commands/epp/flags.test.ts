import { describe, expect, it } from 'vitest';
import { readFlags } from '../flags.ts';
import { UsageError } from '../io.ts';
import { addressOf, booleanFlag, defaults, poolsOf, usage, type PickerFlags } from './flags.ts';

const flags = (...argv: string[]): PickerFlags => readFlags(argv, defaults, {});
const pools = (argv: string[], inPod = false): string[] =>
  poolsOf(flags(...argv), 'own', inPod).map(
    ({ pool, address }) => `${pool.namespace}/${pool.name} at ${address.host}:${address.port}`,
  );

describe('the pools that flags name', () => {
  it.each<[string, string[], boolean, string[]]>([
    ['one, on loopback', ['--pool-name', 'p'], false, ['own/p at 127.0.0.1:9002']],
    ['one, in a pod on every address', ['--pool-name', 'p'], true, ['own/p at 0.0.0.0:9002']],
    ['one of a namespace, where it is told', ['--pool-name=p', '--pool-namespace=n', '--listen=[::1]:7'], true, ['n/p at ::1:7']],
    ['several', ['--pools', 'a=127.0.0.1:1, n/b=:2'], false, ['own/a at 127.0.0.1:1', 'n/b at 0.0.0.0:2']],
    ['several of a namespace', ['--pools', 'a=:1,n/b=:2', '--pool-namespace', 'm'], false, ['m/a at 0.0.0.0:1', 'n/b at 0.0.0.0:2']],
    ['several on free ports', ['--pools', 'a=:0,b=:0'], false, ['own/a at 0.0.0.0:0', 'own/b at 0.0.0.0:0']],
  ])('are %s', (_name, argv, inPod, wanted) => {
    expect(pools(argv, inPod)).toEqual(wanted);
  }); // prettier-ignore

  it.each<[string, string[], string]>([
    ['there is none', [], '--pool-name'],
    ['a name is none', ['--pool-name', 'A B'], 'name of a pool'],
    ['one of several has no address', ['--pools', 'a'], 'host:port'],
    ['one is named twice', ['--pools', 'a=:1,own/a=:2'], 'twice'],
    ['an address is named twice', ['--pools', 'a=:1,b=:1'], 'twice'],
    ['a single pool stands beside several', ['--pools', 'a=:1', '--pool-name', 'b'], '--pool-name: without effect'],
    ['a single address stands beside several', ['--pools', 'a=:1', '--listen', ':2'], '--listen: without effect'],
  ])('are refused where %s', (_name, argv, words) => {
    expect(() => pools(argv)).toThrow(UsageError);
    expect(() => pools(argv)).toThrow(words);
  });
});

describe('flags', () => {
  it('have usual addresses', () => {
    expect(addressOf(flags(), 'health', false)).toEqual({ host: '127.0.0.1', port: 9003 });
    expect(addressOf(flags(), 'metrics', true)).toEqual({ host: '0.0.0.0', port: 9090 });
    expect(addressOf(flags('--health=127.0.0.1:5'), 'health', true)).toEqual({ host: '127.0.0.1', port: 5 });
  });

  it('are true or false', () => {
    expect([booleanFlag('x', 'true'), booleanFlag('x', 'false')]).toEqual([true, false]);
    expect(() => booleanFlag('x', 'yes')).toThrow('--x yes: write true or false');
  });

  it('are all told by --help, on one screen', () => {
    for (const name of Object.keys(defaults)) if (name !== 'help') expect(usage).toContain(`--${name}`);
    expect(usage.split('\n').length).toBeLessThanOrEqual(40);
    for (const line of usage.split('\n')) expect(line.length).toBeLessThanOrEqual(120);
  });
});
