import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HermesProcess } from '../../testkit/process.ts';
import type { AuditedRequest, Cluster } from '../kit/index.ts';

interface Volume {
  readonly name: string;
  readonly configMap?: { readonly name: string };
  readonly secret?: { readonly secretName: string; readonly items?: readonly { key: string; path: string }[] };
}

/** What of a Deployment tells how its process is run. */
export interface Deployment {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly replicas: number;
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: {
        readonly serviceAccountName: string;
        readonly terminationGracePeriodSeconds: number;
        readonly volumes?: readonly Volume[];
        readonly containers: readonly {
          readonly args: readonly string[];
          readonly env?: readonly { readonly name: string; readonly value?: string }[];
          readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
        }[];
      };
    };
  };
}

/** Objects of a kind in a namespace, all or those with labels. */
export async function objects<T>(cluster: Cluster, kind: string, namespace: string, selector = ''): Promise<T[]> {
  const args = ['get', kind, '-n', namespace, '-o', 'json', ...(selector === '' ? [] : ['-l', selector])];
  return (JSON.parse(await cluster.mustKubectl(args)) as { items: T[] }).items;
}

export async function deployment(cluster: Cluster, namespace: string, name: string): Promise<Deployment> {
  return JSON.parse(
    await cluster.mustKubectl(['get', 'deployment', name, '-n', namespace, '-o', 'json']),
  ) as Deployment;
}

/**
 * Runs what the Deployment runs, where there is no kubelet: the same arguments and variables, the files of its ConfigMaps and
 * Secrets, and the token of its service account. Addresses are loopback ones, since several run on one machine.
 */
export async function runDeployment(
  cluster: Cluster,
  namespace: string,
  name: string,
  flags: readonly string[],
): Promise<HermesProcess> {
  const { spec } = (await deployment(cluster, namespace, name)).spec.template;
  const [container] = spec.containers;
  const root = mkdtempSync(join(cluster.access.dir, `${name}-`));
  for (const { name: volume, mountPath } of container.volumeMounts ?? [])
    await mount(cluster, namespace, {
      root,
      path: mountPath,
      volume: spec.volumes?.find((one) => one.name === volume),
    });
  const mounts = (container.volumeMounts ?? []).map(({ mountPath }) => mountPath);
  const args = container.args.map((arg) =>
    mounts.reduce((text, path) => text.replace(`=${path}/`, `=${root}${path}/`), arg),
  );
  const kubeconfig = await cluster.serviceAccountKubeconfig(namespace, spec.serviceAccountName);
  const env = Object.fromEntries((container.env ?? []).map(({ name: variable, value = '' }) => [variable, value]));
  return new HermesProcess([...args, '--kubeconfig', kubeconfig, '--drain-delay', '0s', ...flags], env);
}

interface Mounting {
  readonly root: string;
  readonly path: string;
  readonly volume: Volume | undefined;
}

async function mount(cluster: Cluster, namespace: string, { root, path, volume }: Mounting): Promise<void> {
  mkdirSync(join(root, path), { recursive: true });
  const read = async (kind: string, name: string) =>
    (JSON.parse(await cluster.mustKubectl(['get', kind, name, '-n', namespace, '-o', 'json'])) as { data: Data }).data;
  type Data = Record<string, string>;
  if (volume?.configMap !== undefined) {
    const data = await read('configmap', volume.configMap.name);
    for (const [key, text] of Object.entries(data)) writeFileSync(join(root, path, key), text);
  }
  if (volume?.secret !== undefined) {
    const data = await read('secret', volume.secret.secretName);
    const items = volume.secret.items ?? Object.keys(data).map((key) => ({ key, path: key }));
    for (const item of items) writeFileSync(join(root, path, item.path), Buffer.from(data[item.key], 'base64'));
  }
}

interface Role {
  readonly rules: readonly { readonly resources: readonly string[]; readonly verbs: readonly string[] }[];
}

/** The rights that the roles of a release grant, as `list pods`. */
export async function rightsOf(cluster: Cluster, namespace: string, release: string): Promise<string[]> {
  const roles = await objects<Role>(cluster, 'roles', namespace, `app.kubernetes.io/instance=${release}`);
  const rules = roles.flatMap((role) => role.rules);
  const rights = rules.flatMap(({ resources, verbs }) =>
    resources.flatMap((one) => verbs.map((verb) => `${verb} ${one}`)),
  );
  return [...new Set(rights)].sort();
}

/** Kinds of objects of which a chart makes some; `helm uninstall` takes them all. */
const madeKinds = [
  ...['deployments', 'services', 'configmaps', 'secrets', 'serviceaccounts', 'roles', 'rolebindings'],
  ...['poddisruptionbudgets', 'networkpolicies', 'inferencepools', 'httproutes', 'gateways', 'pods', 'replicasets'],
  ...['clusterroles', 'clusterrolebindings', 'destinationrules.networking.istio.io'],
];

/** What there is of a release, in a namespace or without one, as `kind/name`. */
export async function remains(cluster: Cluster, namespace: string, release: string): Promise<string[]> {
  const selector = `app.kubernetes.io/instance=${release}`;
  const text = await cluster.mustKubectl(['get', madeKinds.join(), '-n', namespace, '-l', selector, '-o', 'name']);
  return text.split('\n').filter((line) => line !== '');
}

/** What every namespace has, and what is said of things that were there. */
const usual = /^(event\.events\.k8s\.io|event|serviceaccount\/default$|configmap\/kube-root-ca\.crt$)/;

/** Everything in a namespace but what each has, of whatever kind the cluster knows, as `kind/name`. */
export async function everything(cluster: Cluster, namespace: string): Promise<string[]> {
  const listed = ['api-resources', '--verbs=list', '--namespaced', '-o', 'name'];
  const kinds = (await cluster.mustKubectl(listed)).trim().split('\n');
  const text = await cluster.mustKubectl(['get', kinds.join(), '-n', namespace, '-o', 'name', '--ignore-not-found']);
  return text.split('\n').filter((line) => line !== '' && !usual.test(line));
}

/** Requests that were refused for want of a right. */
export const refused = (requests: readonly AuditedRequest[]): string[] =>
  requests.filter(({ code }) => code === 403).map(({ verb, resource }) => `${verb} ${resource}`);
