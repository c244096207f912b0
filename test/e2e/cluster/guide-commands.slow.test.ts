// What users of v25.09 and v25.12 type, typed: each command as its guide has it, or what docs/guides/install.md says instead.
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { loadAll } from 'js-yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSimEngine, type SimEngine } from '../../../src/sim/server.ts';
import type { Document } from '../testkit/manifests.ts';
import { startRouter, type RunningRouter } from '../testkit/router.ts';
import { closeAll } from '../testkit/sim.ts';
import { until } from '../testkit/until.ts';
import { run, type Answer } from './kit/command.ts';
import { startCluster } from './kit/index.ts';
import { project } from './testkit/charts.ts';
import { installGatewayCrds } from './testkit/gateway-crds.ts';
import { guideCommands, type Folder } from './testkit/guide-commands.ts';
import { objects } from './testkit/release.ts';
import { policy, staticGroup } from './testkit/resources.ts';

const models = ['deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B', 'Qwen/Qwen3-8B'];
const cluster = startCluster();
let namespace: string;
let above: string;
let engine: SimEngine;
let router: RunningRouter;

beforeAll(async () => {
  await cluster.installCrds();
  await installGatewayCrds(cluster);
  namespace = await cluster.namespace();
  for (const name of ['istio-system', 'ai-inference'])
    await cluster.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: ${name}}}`);
  const status = { addresses: [{ type: 'InternalIP', address: '10.99.0.1' }] };
  const node = `/api/v1/nodes/${await cluster.paperNode()}/status`;
  await cluster.api('PATCH', node, { status }, 'application/merge-patch+json');
  above = mkdtempSync(join(cluster.access.dir, 'guides-'));
  for (const name of ['hermes-router', 'InferNex']) symlinkSync(project, join(above, name));
  mkdirSync(join(above, 'unpacked'));
  engine = await startSimEngine({ models });
  const documents = loadAll(
    [staticGroup('g', [engine.address], `models: [${models.join()}]`), policy('p')].join('---'),
  );
  router = await startRouter(documents as Document[]);
});
afterAll(async () => {
  await router.stop();
  await closeAll([engine]);
  await cluster.close();
});

const folders: Readonly<Record<Folder, string>> = { above: '', checkout: 'hermes-router', unpacked: 'unpacked' };

/** As typed, with the guide's placeholders filled in; where the guide has a gateway's address, that of a router. */
function typed(text: string, folder: Folder): Promise<Answer> {
  const filled = text
    .replaceAll(/<NAMESPACE>|\$\{NAMESPACE\}/g, namespace)
    .replaceAll('<INFERENCEPOOL_NAME>', 'vllm-qwen-qwen3-8b')
    .replaceAll('$(MODEL)', 'Qwen/Qwen3-8B')
    .replaceAll(/localhost:8000|\$\{EXTERNAL_IP\}|\$\{NODE_IP\}:\$\{NODE_PORT\}/g, router.proxy);
  const homes = { HELM_CONFIG_HOME: 'config', HELM_CACHE_HOME: 'cache', HELM_DATA_HOME: 'data' };
  const env = {
    ...process.env,
    ...Object.fromEntries(Object.entries(homes).map(([name, path]) => [name, join(cluster.access.dir, 'helm', path)])),
    PATH: [dirname(cluster.access.helm), dirname(cluster.access.kubectl), process.env.PATH].join(':'),
    KUBECONFIG: cluster.kubeconfig,
    // Where a command names no namespace.
    HELM_NAMESPACE: namespace,
  };
  return run('bash', ['-euo', 'pipefail', '-c', filled], { cwd: join(above, folders[folder]), env });
}

describe('of the guides of v25.09 and v25.12', () => {
  it.each(guideCommands.map((command) => [command.guide, command.text, command] as const))(
    '%s: %s',
    async (_guide, text, { folder, instead = text, without, after = '', says = '' }) => {
      if (without !== undefined) return;
      if (instead !== text && !instead.includes('examples/profiles'))
        expect((await typed(text, folder)).code, 'as it stands, which the table of replacements denies').not.toBe(0);
      let answer = await typed(instead, folder);
      expect(answer).toMatchObject({ code: 0 });
      // Pods are made a moment after their Deployment.
      await until(`it says ${says}: ${answer.stdout}`, async () => {
        if (answer.stdout.includes(says)) return true;
        if (text.startsWith('kubectl get')) answer = await typed(instead, folder);
        return false;
      });
      if (after !== '') expect(await typed(after, folder)).toMatchObject({ code: 0 });
    },
  );

  it('leave what they installed last: a gateway, engines, cache-indexer', async () => {
    const names = (await objects<{ metadata: { name: string } }>(cluster, 'deployments', namespace)).map(
      ({ metadata }) => metadata.name,
    );
    expect(names.sort()).toEqual(['cache-indexer', 'vllm', 'vllm-pd-0-decode', 'vllm-pd-0-leader', 'vllm-pd-0-prefill']); // prettier-ignore
  });
});

describe('docs/guides/install.md', () => {
  it('has a replacement for each command that does not work as it stands', () => {
    const text = readFileSync(join(project, 'docs/guides/install.md'), 'utf8');
    const table = text.slice(text.indexOf('## Commands of the guides'));
    const changed = guideCommands.filter(({ instead, without }) => instead !== undefined || without !== undefined);
    /** What it is about: the chart's reference, the Service, or its first words. */
    const about = (command: string): string =>
      /oci:|istio-ingressgateway|--generate\b(?!-)|git clone|istioctl|^tar|-f FILE|cd hermes-router/.exec(
        command,
      )?.[0] ?? command;
    for (const command of changed) expect(table, command.text).toContain(about(command.text));
  });
});
