import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  chart,
  ClientPod,
  crds,
  engines,
  enforceRestricted,
  inBox,
  list,
  model,
  project,
  rolledOut,
  startCluster,
  strictNamespace,
  until,
} from './kit/index.ts';

const cluster = startCluster();
const sim = engines({ name: 'engines', replicas: 2, model, labels: { app: 'vllm' } });
afterAll(() => cluster.close());

/** The commands of README's installation, as they stand there. */
function readmeCommands(): string[] {
  const text = readFileSync(join(project, 'README.md'), 'utf8');
  const block = /^\*\*To install it\*\*[^]*?^```\w*\n([^]*?)^```/m.exec(text)?.[1];
  if (block === undefined) throw new Error('README.md has no block of commands after "To install it"');
  return block
    .trim()
    .split('\n')
    .map((line) => line.replace(/\s+#.*/, ''));
}

interface Said {
  readonly code: number | null;
  readonly text: string;
}

/** Runs a line as a user types it, at the root of the checkout. */
function type(line: string): Promise<Said> {
  const child = spawn('bash', ['-c', line], { cwd: project, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, text })));
}

const rows = async (namespace: string): Promise<string[][]> => {
  const text = await cluster.mustKubectl(['get', 'rp,bg', '-n', namespace, '--no-headers']);
  return text
    .split('\n')
    .map((line) => line.split(/\s{2,}/))
    .filter(([name]) => name !== '');
};

/** What README shows of `kubectl get rp,bg`. */
async function expectProgrammed(namespace: string): Promise<void> {
  const table = await until(
    'the policy is programmed, its engines ready',
    async () => {
      const now = await rows(namespace);
      return now.length === 2 && now[0][3] === 'True' && now[1][4] === '2' && now;
    },
    60_000,
  );
  expect(table[0].slice(0, 4)).toEqual(['routingpolicy.hermes-router.io/qwen3-8b', 'Auto', 'qwen3-8b 100%', 'True']);
  expect(table[1].slice(0, 6)).toEqual([
    'backendgroup.hermes-router.io/qwen3-8b',
    model,
    'vLLM',
    'Aggregate',
    '2',
    '2',
  ]);
}

describe.runIf(inBox)('README, word for word', () => {
  let forward: ChildProcess | null = null;
  beforeAll(async () => {
    await cluster.mustKubectl(['delete', 'crd', '--ignore-not-found', ...crds]);
    await enforceRestricted(cluster, 'default');
  });
  afterAll(async () => {
    forward?.kill();
    await cluster.mustKubectl(['delete', '-k', 'config/default', '--ignore-not-found'].map(atRoot));
    await cluster.mustKubectl(['delete', 'deployment/engines', 'secret/hermes-router-admin', '--ignore-not-found']);
    await cluster.mustKubectl(['label', 'namespace', 'default', 'pod-security.kubernetes.io/enforce-']);
  });
  const atRoot = (arg: string): string => (arg.startsWith('config/') ? join(project, arg) : arg);

  it('installs a router that answers', async () => {
    await cluster.apply(list(sim), '-n', 'default');
    for (const line of readmeCommands()) {
      if (line.endsWith('&')) {
        await rolledOut(cluster, 'default', 'hermes-router', 'engines');
        forward = spawn('bash', ['-c', `exec ${line.slice(0, -1)}`], { cwd: project, stdio: 'ignore' });
        continue;
      }
      // Only the port-forward may need a moment.
      const said = await until(line, async () => {
        const now = await type(line);
        return (now.code === 0 || forward === null) && now;
      });
      expect(said, line).toMatchObject({ code: 0 });
      if (line.startsWith('curl')) expect(said.text).toContain(`"id":"${model}"`);
    }
    const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 5 });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch('http://127.0.0.1:8000/v1/chat/completions', { method: 'POST', headers, body });
    expect(answer.status).toBe(200);
    await expectProgrammed('default');
  });
});

describe('the way with Helm', () => {
  let namespace: string;
  let client: ClientPod;
  const installed = ['crds', 'hermes-router'];
  beforeAll(async () => {
    namespace = await strictNamespace(cluster);
    await cluster.apply(list(sim), '-n', namespace);
    client = await ClientPod.start(cluster, namespace);
  });
  afterAll(async () => {
    for (const name of installed) await cluster.helm(['uninstall', name, '-n', namespace, '--wait=false']);
  });

  it('installs CRDs and router', async () => {
    // Where they are already, by kubectl, Helm takes them over.
    await cluster.mustHelm('install', 'crds', chart('hermes-router-crds'), '-n', namespace, '--take-ownership');
    await cluster.mustHelm('install', 'hermes-router', chart('hermes-router'), '-n', namespace);
    await rolledOut(cluster, namespace, 'hermes-router', 'engines');
  });

  it('serves what a policy says, through the Service', async () => {
    await cluster.mustKubectl(['apply', '-n', namespace, '-k', join(project, 'config/samples')]);
    await expectProgrammed(namespace);
    await client.answered('http://hermes-router', model);
    const answer = await client.chat('http://hermes-router', model, { stream: true });
    expect(answer.status).toBe(200);
    expect(answer.text).toMatch(/data: \[DONE\]\s*$/);
    const models = await client.ask('GET', `http://hermes-router.${namespace}.svc.cluster.local/v1/models`);
    expect(models.text).toContain(model);
  });

  it('passes helm test', async () => {
    expect(await cluster.mustHelm('test', 'hermes-router', '-n', namespace)).toMatch(/Phase:\s+Succeeded/);
  });
});
