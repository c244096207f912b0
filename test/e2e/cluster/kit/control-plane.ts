import { spawn } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { clientBinaries, controlPlaneBinary } from './binaries.ts';
import { run } from './command.ts';

/** How to reach a cluster; plain data, so that it travels from vitest's main process to its workers. */
export interface Access {
  kubectl: string;
  helm: string;
  /** Path of the administrator's kubeconfig. */
  kubeconfig: string;
  /** URL of the API server. */
  server: string;
  /** A folder of the run, for kubeconfigs and kubectl's cache. */
  dir: string;
  /** Only a control plane of our own has these: the socket that takes the API server away, and its audit log. */
  own: { control: string; auditLog: string; readyMs: number } | null;
}

/** A control plane of our own; `close` ends its processes and removes its folder. */
export interface ControlPlane {
  access: Access;
  readonly close: () => Promise<void>;
}

/** Starts etcd, kube-apiserver and kube-controller-manager on loopback: about 8 s, 530 MB. */
export async function startControlPlane(): Promise<ControlPlane> {
  const [binary, clients] = await Promise.all([controlPlaneBinary(), clientBinaries()]);
  const dir = runFolder();
  // It ends by itself when our end of its stdin closes, however we end.
  const child = spawn(binary, ['up', '-dir', dir], { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const first = new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('error', reject);
    void ended.then(() => reject(new Error(`the control plane did not start (its logs are in ${dir}): ${said}`)));
  });
  const { kubeconfig, server, control, auditLog, readyMs } = JSON.parse(await first) as Record<string, string> & {
    readyMs: number;
  };
  return {
    access: { ...clients, kubeconfig, server, dir, own: { control, auditLog, readyMs } },
    close: async () => {
      child.kill('SIGTERM');
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Without symbolic links on its path, since kustomize follows relative paths out of it. */
const runFolder = (): string => realpathSync(mkdtempSync(join(tmpdir(), 'hermes-cluster-')));

/** Access to a cluster that is there already: the one of KUBECONFIG. */
export async function existingCluster(kubeconfig: string): Promise<ControlPlane> {
  const clients = await clientBinaries();
  const dir = runFolder();
  const view = ['config', 'view', '--minify', '--output', 'jsonpath={.clusters[0].cluster.server}'];
  const { code, stdout, stderr } = await run(clients.kubectl, ['--kubeconfig', kubeconfig, ...view]);
  if (code !== 0 || stdout === '') throw new Error(`KUBECONFIG=${kubeconfig} names no cluster: ${stderr}`);
  return {
    access: { ...clients, kubeconfig, server: stdout, dir, own: null },
    close: () => Promise.resolve(rmSync(dir, { recursive: true, force: true })),
  };
}

/** The cluster of KUBECONFIG when it is set, else a control plane of our own. */
export function anyCluster(): Promise<ControlPlane> {
  const kubeconfig = process.env.KUBECONFIG;
  return kubeconfig === undefined || kubeconfig === '' ? startControlPlane() : existingCluster(kubeconfig);
}
