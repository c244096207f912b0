import { describe, expect, test } from 'vitest';
import { runSimEngine } from './sim-engine.ts';
import { parseEngineFlags } from './engine-flags.ts';
import { UsageError } from './command-io.ts';

/** Runs the command; `address` settles at its first listening line. */
function run(argv: string[]) {
  const stop = new AbortController();
  const lines: string[] = [];
  const errors: string[] = [];
  const ready = Promise.withResolvers<string>();
  const out = (line: string): void => {
    lines.push(line);
    const match = /"address":"([^"]+)"/.exec(line);
    if (match !== null) ready.resolve(match[1]);
  };
  const code = runSimEngine(argv, { out, err: (line) => errors.push(line), stop: stop.signal });
  return { stop, lines, errors, address: ready.promise, code };
}

test('tells in one JSON line an engine where it listens, serves, and ends with 0 when told to', async () => {
  const command = run(['--listen=127.0.0.1:0', '--listen=127.0.0.1:0', '--model=a', '--kv-events=tcp://127.0.0.1:0']);
  const address = await command.address;
  expect((await fetch(`http://${address}/health`)).status).toBe(200);
  command.stop.abort();
  expect(await command.code).toBe(0);
  expect(command.lines.length).toBe(2);
  expect(JSON.parse(command.lines[0])).toEqual({
    level: 'info',
    msg: 'listening',
    server: 'sim-engine',
    address,
    kvEvents: expect.stringMatching(/^tcp:\/\/127\.0\.0\.1:\d+$/) as string,
    kvReplay: null,
  });
});

test('a port in use is exit code 3, for HTTP and for events', async () => {
  const first = run(['--listen=127.0.0.1:0', '--kv-events=tcp://127.0.0.1:0']);
  const address = await first.address;
  const events = /"kvEvents":"([^"]+)"/.exec(first.lines[0])?.[1] ?? '';
  for (const argv of [[`--listen=${address}`], ['--listen=127.0.0.1:0', `--kv-events=${events}`]]) {
    const second = run(argv);
    expect(await second.code).toBe(3);
    expect(second.errors.join()).toContain('choose another address');
  }
  first.stop.abort();
  await first.code;
});

test('an engine that dies of a fault ends the command with 3', async () => {
  const command = run(['--listen=127.0.0.1:0']);
  const address = await command.address;
  await fetch(`http://${address}/sim/fault`, { method: 'POST', body: '{"type":"die"}' });
  expect(await command.code).toBe(3);
});

describe('a wrong command line is exit code 2 and says what to write', () => {
  const cases: [string, string[], string][] = [
    ['an unknown flag', ['--nope'], '--nope'],
    ['an address without a port', ['--listen', 'localhost'], '--listen must be HOST:PORT'],
    ['a port beyond 65535', ['--listen', '127.0.0.1:70000'], '--listen must be HOST:PORT'],
    ['a speed of nought', ['--speed-up', '0'], '--speed-up must be a number above 0'],
    ['an unknown connector', ['--kv-connector', 'mooncake'], 'none, nixl or shared'],
    ['a lease without a connector', ['--kv-lease', '3'], '--kv-lease needs --kv-connector nixl'],
    [
      'a folder without shared storage',
      ['--kv-connector', 'nixl', '--kv-shared-folder', 'x'],
      'needs --kv-connector shared',
    ],
    ['an unknown policy', ['--kv-connector', 'nixl', '--kv-load-failure-policy', 'pray'], 'must be fail or recompute'],
    ['a side channel beyond 65535', ['--kv-connector', 'nixl', '--kv-port', '70000'], 'at most 65535'],
    [
      'two engines with one side channel',
      ['--listen=127.0.0.1:0', '--listen=127.0.0.1:0', '--kv-connector=nixl', '--kv-port=5600'],
      'leave it out',
    ],
    ['half a block', ['--block-size', '1.5'], '--block-size must be a whole number'],
    ['a replay of nothing', ['--kv-replay', 'tcp://127.0.0.1:0'], '--kv-replay needs --kv-events'],
    ['an unknown fault', ['--fault', 'explode'], 'must be one of'],
    ['a fault that strikes at once', ['--fault', 'die'], '/sim/fault'],
    ['a broken fault', ['--fault', '{'], 'not JSON'],
    [
      'a model longer than the cache',
      ['--listen=127.0.0.1:0', '--kv-tokens=1600', '--max-model-len=3200'],
      'does not fit',
    ],
    [
      'two engines with one event port',
      ['--listen=127.0.0.1:0', '--listen=127.0.0.1:0', '--kv-events=tcp://127.0.0.1:5557'],
      'give port 0',
    ],
  ];
  test.each(cases)('%s', async (_name, argv, words) => {
    const command = run(argv);
    expect(await command.code).toBe(2);
    expect(command.errors.join('\n')).toContain(words);
  });
});

test('flags reach the service model in its units', () => {
  const argv = [
    '--itl-base=12',
    '--itl-per-request=1',
    '--prefill-rate=100',
    '--chunk=64',
    '--max-running=2',
    '--lora=l',
  ];
  const [engine] = parseEngineFlags(argv).engines;
  expect(engine).toMatchObject({
    host: '127.0.0.1',
    port: 9001,
    adapters: ['l'],
    service: { interTokenBase: 0.012, interTokenPerRequest: 0.001, prefillRate: 100, chunkTokens: 64, maxRunning: 2 },
  });
  expect(parseEngineFlags(['--listen=[::1]:8']).engines[0]).toMatchObject({ host: '::1', port: 8 });
  expect(() => parseEngineFlags(['--speed-up='])).toThrow(UsageError);
});

test('flags of the hand-over reach the engines, which share one storage', () => {
  const [nixl] = parseEngineFlags([
    '--kv-connector=nixl',
    '--kv-port=5600',
    '--kv-lease=7',
    '--transfer-rate=1000',
    '--kv-load-failure-policy=recompute',
    '--ignore-aborted-request',
    '--tp-size=4',
  ]).engines;
  expect(nixl).toMatchObject({
    tpSize: 4,
    service: { leaseSeconds: 7, transferSecondsPerToken: 0.001 },
    kvTransfer: { connector: 'nixl', port: 5600, loadFailurePolicy: 'recompute', heedsAborts: false },
  });
  const shared = parseEngineFlags(['--kv-connector=shared', '--listen=127.0.0.1:1', '--listen=127.0.0.1:2']).engines;
  expect(shared[0].kvTransfer?.names).toBe(shared[1].kvTransfer?.names);
  expect(parseEngineFlags([]).engines[0].kvTransfer).toBeUndefined();
});

test('a side channel is told with the address, and its death is exit code 3', async () => {
  const command = run(['--listen=127.0.0.1:0', '--kv-connector=nixl']);
  const address = await command.address;
  expect(JSON.parse(command.lines[0])).toMatchObject({
    sideChannel: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as string,
  });
  const body = JSON.stringify({ prompt: 'x', kv_transfer_params: { do_remote_prefill: true } });
  const headers = { 'content-type': 'application/json' };
  await expect(fetch(`http://${address}/v1/completions`, { method: 'POST', headers, body })).rejects.toThrow();
  expect(await command.code).toBe(3);
});

test('--help fits a screen', async () => {
  const command = run(['--help']);
  expect(await command.code).toBe(0);
  expect(command.lines.join('\n').split('\n').length).toBeLessThanOrEqual(24);
});
