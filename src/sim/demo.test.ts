import { describe, expect, test } from 'vitest';
import { demoManifests } from './demo-manifests.ts';
import { parseDemoFlags } from './demo-options.ts';
import { reportLines, type DemoRun } from './demo-report.ts';
import { runDemo, type DemoDependencies } from './demo.ts';
import { Progress } from './progress.ts';
import { sharedPrompts, type Workload } from './workloads.ts';

const program = [process.execPath, new URL('./testdata/demo-program.ts', import.meta.url).pathname];
const tiny: ReadonlyMap<string, (seed: number) => Workload> = new Map([['tiny', (seed) => sharedPrompts(seed, 4)]]);

// However busy the machine is, these runs count.
const usual = { redraw: null, once: true, workloads: tiny, mostLagPercent: Infinity };

async function demo(argv: string[], dependencies: Partial<DemoDependencies> = {}, stop?: AbortSignal) {
  const out: string[] = [];
  const err: string[] = [];
  const io = {
    out: (line: string) => {
      out.push(line);
    },
    err: (line: string) => {
      err.push(line);
    },
    ...(stop === undefined ? {} : { stop }),
  };
  const code = await runDemo(argv, io, { program, ...usual, ...dependencies });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

describe('the demo, with a stand-in for the router', () => {
  test('compares the three strategies in one table', async () => {
    const { code, out, err } = await demo(['--speed-up=200']);
    expect(err).toBe('');
    expect(code).toBe(0);
    expect(out).toContain('4 system prompts of 8k tokens x 4');
    for (const strategy of ['Random', 'KVAware', 'Auto'])
      expect(out).toMatch(new RegExp(`^${strategy} +\\d+\\.\\d{3} s`, 'm'));
    expect(out).not.toContain('curl');
  });

  test('with --json prints the runs of every seed and nothing else', async () => {
    const { code, out } = await demo(['--json', '--seeds=2', '--speed-up=200']);
    const { runs } = JSON.parse(out) as { runs: DemoRun[] };
    expect(code).toBe(0);
    expect(runs.map(({ strategy, seed }) => `${strategy} ${seed}`)).toEqual([
      'Random 1',
      'Random 2',
      'KVAware 1',
      'KVAware 2',
      'Auto 1',
      'Auto 2',
    ]);
    expect(runs.every(({ result }) => result.requests === 16)).toBe(true);
  });

  test('stays up until told to stop and says how to send a request', async () => {
    const { code, out } = await demo(['--speed-up=200'], { once: false }, AbortSignal.abort());
    expect(code).toBe(0);
    expect(out).toMatch(/curl -N http:\/\/127\.0\.0\.1:\d+\/v1\/chat\/completions/);
  });

  test('refuses figures of a clock that could not keep up', async () => {
    const { code, err } = await demo(['--speed-up=200'], { mostLagPercent: 0 });
    expect(code).toBe(3);
    expect(err).toMatch(/% late .* lower --speed-up/);
  });

  test('says which part did not start and what it said', async () => {
    const { code, err } = await demo([], { program: [process.execPath, '-e', 'console.error("no such thing")', '--'] });
    expect(code).toBe(3);
    expect(err).toContain('the engines has ended');
    expect(err).toContain('no such thing');
  });
});

describe('flags', () => {
  const wrong: [string, string[]][] = [
    ['an unknown workload', ['--workload=nope']],
    ['no seeds', ['--seeds=0']],
    ['no speed', ['--speed-up=x']],
    ['an unknown flag', ['--nope']],
  ];
  test.each(wrong)('%s is exit code 2', async (_name, argv) => {
    const { code, err } = await demo(argv);
    expect(code).toBe(2);
    expect(err).toContain('--help');
  });

  test('default to one seed of every workload', () => {
    expect(parseDemoFlags([], ['a', 'b'])).toMatchObject({ workloads: ['a', 'b'], seeds: 1, json: false });
  });
});

test('gains are against Random, over all seeds', () => {
  const run = (strategy: string, seed: number, time: number): DemoRun => ({
    workload: 'w',
    title: 'title',
    strategy,
    seed,
    lagPercent: 1,
    result: {
      requests: 1,
      failures: {},
      firstToken: { mean: time, p50: time / 2, p90: time * 2 },
      duration: { mean: 1, p50: 1, p90: 1 },
      seconds: 1,
      outputTokens: 100,
      tokensPerSecond: 100,
      promptTokens: 100,
      cachedTokens: 50,
      hitRate: 0.5,
    },
  });
  const lines = reportLines([run('Random', 1, 1), run('Random', 2, 3), run('Auto', 1, 0.5), run('Auto', 2, 0.5)]);
  expect(lines.at(-1)?.split(/ {2,}/)).toEqual([
    'Auto',
    '0.500 s',
    '0.250 s',
    '1.000 s',
    '100',
    '50 %',
    '-75 %',
    '-75 %',
    '-75 %',
  ]);
});

test('manifests name every engine and the strategy', () => {
  const yaml = demoManifests('Auto', ['127.0.0.1:1', '127.0.0.1:2'], { model: 'm', scrapeMilliseconds: 67 });
  expect(yaml).toContain('{name: engine-2, address: "127.0.0.1:2"}');
  expect(yaml).toContain('strategy: {type: Auto}');
  expect(yaml).toContain('interval: 67ms');
});

test('progress is a line at each quarter, or a bar on a terminal', () => {
  const lines: string[] = [];
  const drawn: string[] = [];
  const plain = new Progress((line) => lines.push(line), null);
  const bar = new Progress(
    () => undefined,
    (text) => drawn.push(text),
  );
  for (let done = 1; done <= 100; done++) {
    plain.show('t', done, 100);
    bar.show('t', done, 100);
  }
  expect(lines.length).toBe(5);
  expect(drawn.length).toBe(42);
  expect(drawn.slice(-2)).toEqual([`\r[${'#'.repeat(40)}]  100/100 t`, '\n']);
});
