import { describe, expect, it } from 'vitest';
import { readValues, type ValuesFile } from './indexer-values.ts';

const seed = `app:
  serviceDiscovery: # how engines are found
    labelSelector: "openfuyao.com/model=qwen-qwen3-8b"
    portName: "zmq-pub"
    refreshInterval: 10

service:
  name: cache-indexer-service
  port: 8080
`;

const read = (text: string): ValuesFile => readValues(text, 'values.yaml', 'ai');
const spec = (text: string): unknown => read(text).config?.resources.groups[0].spec;

/** Settings of discovery, on one line each. */
const discovery = (...lines: string[]): string =>
  ['app:', '  serviceDiscovery:', ...lines.map((line) => `    ${line}`)].join('\n');

describe('a configuration of the original', () => {
  it('becomes one group of the Pods with the labels, whose events are at the port of the name', () => {
    const { config, faults, port } = read(seed);
    expect([faults, port]).toEqual([[], 8080]);
    expect(config).toMatchObject({ namespace: 'ai', resources: { policies: [] } });
    expect(config?.resources.groups).toHaveLength(1);
    expect(config?.resources.groups[0]).toMatchObject({
      metadata: { name: 'app', namespace: 'ai' },
      spec: {
        discovery: {
          type: 'Pods',
          pods: {
            selector: { matchLabels: { 'openfuyao.com/model': 'qwen-qwen3-8b' } },
            targetPorts: [{ number: 8000 }],
          },
        },
        kvCache: { type: 'Events', events: { portName: 'zmq-pub', replayPortName: 'zmq-replay', topic: 'kv-events' } },
      },
    });
  });

  it('tells what has no effect, and where', () => {
    const notes = read(`${seed}image: x\nresources: {}\n`).notes.map(({ line, path }) => [line, path]);
    expect(notes).toEqual([
      [10, 'image'],
      [5, 'app.serviceDiscovery.refreshInterval'],
      [8, 'service.name'],
    ]);
  });

  it('needs the labels only', () => {
    const { config, notes, port } = read(discovery('labelSelector: a=b'));
    expect([config === null, notes, port]).toEqual([false, [], null]);
  });

  it('takes several labels, ports and names of ports', () => {
    const text = discovery('labelSelector: app = vllm, tier==gold,empty=', 'portName: kv', 'inferencePort: 9000');
    expect(spec(text)).toMatchObject({
      discovery: {
        pods: {
          selector: { matchLabels: { app: 'vllm', tier: 'gold', empty: '' } },
          targetPorts: [{ number: 9000 }],
        },
      },
      kvCache: { events: { portName: 'kv' } },
    });
  });

  const long = 'x'.repeat(64);
  it.each<[string, string, string]>([
    ['is empty', '', '1: : is empty; write the settings under `app:`'],
    ['holds two documents', `${seed}---\n${seed}`, '1: : holds 2 documents; keep the one with `app`'],
    ['is no YAML', 'app: [', '1: : is no YAML'],
    ['is no map', '- a', '1: : is no map; write the settings under `app:`'],
    ['is a manifest', 'kind: ConfigMap\ndata: {}', '1: kind: belongs to a manifest'],
    ['lacks app', 'service: {}', '1: app: is missing; add `app`'],
    ['lacks the labels', 'app:\n  serviceDiscovery: {}', '2: app.serviceDiscovery.labelSelector: is missing; add'],
    [
      'names labels as a map',
      discovery('labelSelector: {a: b, c: d}'),
      '3: app.serviceDiscovery.labelSelector: is a map; write "a=b,c=d", in one text',
    ],
    [
      'names no labels',
      discovery('labelSelector: ""'),
      '3: app.serviceDiscovery.labelSelector: is ""; write `labelSelector` as one to',
    ],
    [
      'wants a set',
      discovery('labelSelector: a in (b,c)'),
      '3: app.serviceDiscovery.labelSelector: is "a in (b,c)"; write labels and their values, as in `app=vllm,tier=gold`; sets',
    ],
    [
      'wants a negation',
      discovery('labelSelector: a!=b'),
      '3: app.serviceDiscovery.labelSelector: is "a!=b"; write labels and',
    ],
    [
      'names a label twice',
      discovery('labelSelector: a=b,a=c'),
      '3: app.serviceDiscovery.labelSelector: names a label twice; name',
    ],
    [
      'has a label that is too long',
      discovery(`labelSelector: a=${long}`),
      '3: app.serviceDiscovery.labelSelector: is "xxx',
    ],
    [
      'has an unknown key',
      discovery('labelSelector: a=b', 'portname: x'),
      '4: app.serviceDiscovery.portname: is no known field; write `portName`, or remove it',
    ],
    [
      'has an unknown key in app',
      `${seed.split('\n\n')[0]}\n  log: x`,
      '6: app.log: is no known field; remove it; known here: serviceDiscovery',
    ],
    [
      'has an unknown key in service',
      'service:\n  type: NodePort\n' + discovery('labelSelector: a=b'),
      '2: service.type: is no known field; remove it; known here: name, port',
    ],
    [
      'has an interval with a unit',
      discovery('labelSelector: a=b', 'refreshInterval: 10s'),
      '4: app.serviceDiscovery.refreshInterval: is "10s"; write 10: seconds',
    ],
    [
      'has a port as text',
      `${discovery('labelSelector: a=b')}\nservice:\n  port: "8080"`,
      '5: service.port: is "8080"; write 8080 without quotes',
    ],
  ])('is refused when it %s', (_name, text, expected) => {
    const { config, faults } = read(text);
    expect(config).toBeNull();
    const [told] = faults.map(({ line, path, message, cure }) => `${line}: ${path}: ${message}; ${cure}`);
    expect(told.slice(0, expected.length)).toBe(expected);
  });
});
