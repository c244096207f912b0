import { randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join, relative } from 'node:path';
import type { TestContext } from 'vitest';
import { auditMark, requestsSince, type AuditedRequest, type AuditMark, type RequestFilter } from './audit.ts';
import { mustRun, run, type Answer } from './command.ts';
import type { Access } from './control-plane.ts';
import { Proxy, type ApiAnswer } from './proxy.ts';

interface KubectlOptions {
  stdin?: string;
  /** Someone else than the administrator. */
  kubeconfig?: string;
}

/** A cluster as a suite sees it: kubectl, an API without start-up cost, ways to take the API server away. */
export class Cluster {
  readonly access: Access;
  private readonly proxy: Proxy;
  private readonly namespaces: string[] = [];
  private readonly nodes: string[] = [];
  private away = false;
  private frozen = false;

  constructor(access: Access) {
    this.access = access;
    this.proxy = new Proxy(access.kubectl, access.kubeconfig, this.env());
  }

  /** Path of the administrator's kubeconfig. */
  get kubeconfig(): string {
    return this.access.kubeconfig;
  }

  /** URL of the API server. */
  get server(): string {
    return this.access.server;
  }

  /** kubectl as a user runs it: about 0.1 s each. */
  kubectl(args: readonly string[], options: KubectlOptions = {}): Promise<Answer> {
    const env = this.env(options.kubeconfig);
    return run(this.access.kubectl, args, options.stdin === undefined ? { env } : { env, stdin: options.stdin });
  }

  /** kubectl for what has to succeed; its stdout. */
  mustKubectl(args: readonly string[], options: KubectlOptions = {}): Promise<string> {
    const env = this.env(options.kubeconfig);
    return mustRun(this.access.kubectl, args, options.stdin === undefined ? { env } : { env, stdin: options.stdin });
  }

  /** helm as a user runs it: about 0.2 s each. */
  helm(args: readonly string[], options: { readonly stdin?: string } = {}): Promise<Answer> {
    // Nothing of the user's own: repositories, plugins, registries.
    const own = { HELM_CONFIG_HOME: 'config', HELM_CACHE_HOME: 'cache', HELM_DATA_HOME: 'data' };
    const homes = Object.entries(own).map(([name, folder]) => [name, join(this.access.dir, 'helm', folder)]);
    const env = { ...this.env(), ...(Object.fromEntries(homes) as Record<string, string>) };
    return run(this.access.helm, args, { ...options, env });
  }

  /** helm for what has to succeed; its stdout. */
  async mustHelm(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.helm(args);
    if (code !== 0) throw new Error(`helm ${args.join(' ')} ended with ${code}: ${stderr.slice(-2000)}`);
    return stdout;
  }

  /** `kubectl apply -f -`, which has to succeed. */
  apply(yaml: string, ...args: readonly string[]): Promise<string> {
    return this.mustKubectl(['apply', '-f', '-', ...args], { stdin: yaml });
  }

  /**
   * Applies a folder of config/ to a namespace, through an overlay as a user would write it: `applyConfig('rbac', ns)`
   * makes the service account `hermes-router` with its rights.
   */
  applyConfig(folder: string, namespace: string): Promise<Answer> {
    return this.kubectl(['apply', '-k', this.overlay(folder, namespace)]);
  }

  /** A kustomize folder that puts a folder of config/ into a namespace. */
  overlay(folder: string, namespace: string): string {
    const overlay = mkdtempSync(join(this.access.dir, 'overlay-'));
    const content = { namespace, resources: [relative(overlay, join(project, 'config', folder))] };
    writeFileSync(join(overlay, 'kustomization.yaml'), JSON.stringify(content));
    return overlay;
  }

  /** A request to the API server as the administrator, through one `kubectl proxy`: 1 ms instead of 100. */
  api(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<ApiAnswer> {
    return this.proxy.request(method, path, body, contentType);
  }

  /** Installs the project's CRDs and one of InferencePool, and waits until they are served. */
  async installCrds(): Promise<void> {
    await this.mustKubectl(['apply', '-k', join(project, 'config/crd')]);
    await this.mustKubectl(['apply', '-f', inferencePoolCrd()]);
    await this.mustKubectl(['wait', '--for=condition=Established', '--timeout=60s', 'crd', ...crdNames]);
  }

  /** A fresh namespace with its service account `default`; close deletes it. */
  async namespace(): Promise<string> {
    const name = `hermes-${randomBytes(4).toString('hex')}`;
    await this.mustKubectl(['create', 'namespace', name]);
    this.namespaces.push(name);
    const account = ['--for=create', '--timeout=60s', `--namespace=${name}`, 'serviceaccount/default'];
    await this.mustKubectl(['wait', ...account]);
    return name;
  }

  /**
   * A fresh node that exists on paper: pods bound to it run as soon as somebody says so. Close deletes it, and with it
   * what pods are left. Where a cluster looks after its nodes, its pods stay ready for the first minute only.
   */
  async paperNode(): Promise<string> {
    const name = `hermes-paper-${randomBytes(4).toString('hex')}`;
    const { status } = await this.api('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } });
    if (status !== 201) throw new Error(`the node ${name} was not made: ${status}`);
    this.nodes.push(name);
    return name;
  }

  /** Path of a kubeconfig with a token of this service account: what RBAC allows it, and no more. */
  async serviceAccountKubeconfig(namespace: string, name: string): Promise<string> {
    const token = await this.mustKubectl(['create', 'token', name, `--namespace=${namespace}`, '--duration=2h']);
    const view = ['config', 'view', '--minify', '--flatten', '--output=json', `--kubeconfig=${this.kubeconfig}`];
    const config = JSON.parse(await this.mustKubectl(view)) as { clusters: { cluster: unknown }[] };
    const path = join(this.access.dir, `${namespace}-${name}.kubeconfig`);
    const content = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'test', cluster: config.clusters[0].cluster }],
      users: [{ name, user: { token: token.trim() } }],
      contexts: [{ name, context: { cluster: 'test', user: name, namespace } }],
      'current-context': name,
    };
    writeFileSync(path, JSON.stringify(content), { mode: 0o600 });
    return path;
  }

  /** Skips the test that calls it unless the control plane is our own: it wants to stop it or read its audit log. */
  needsOwn(context: TestContext): void {
    context.skip(this.access.own === null, 'needs a control plane of its own: KUBECONFIG names somebody’s cluster');
  }

  /** SIGKILL; etcd lives on. Returns when the process is gone. */
  async killApiServer(): Promise<void> {
    await this.control('kill');
    this.away = true;
    this.frozen = false;
  }

  /** Starts the killed API server on its old port and data; returns when it is ready, after about 2 s. */
  async startApiServer(): Promise<void> {
    await this.control('start');
    this.away = false;
  }

  /** SIGSTOP: connections stay open and nothing answers. */
  async freezeApiServer(): Promise<void> {
    await this.control('freeze');
    this.frozen = true;
  }

  async thawApiServer(): Promise<void> {
    await this.control('thaw');
    this.frozen = false;
  }

  /** A place in the list of requests, for countRequests. */
  markRequests(): AuditMark {
    return auditMark(this.own().auditLog);
  }

  /** What the API server was asked since the mark; countByKind makes numbers of it. Not its own controllers. */
  requests(since: AuditMark, filter: RequestFilter = {}): AuditedRequest[] {
    return requestsSince(this.own().auditLog, since, filter);
  }

  /** Brings the API server back when a failed test left it away, and deletes namespaces and nodes. */
  async close(): Promise<void> {
    if (this.frozen) await this.thawApiServer();
    if (this.away) await this.startApiServer();
    if (this.namespaces.length > 0) await this.mustKubectl(['delete', 'namespace', '--wait=false', ...this.namespaces]);
    if (this.nodes.length > 0) await this.mustKubectl(['delete', 'node', '--wait=false', ...this.nodes]);
    await this.proxy.close();
  }

  private env(kubeconfig: string = this.access.kubeconfig): NodeJS.ProcessEnv {
    return { ...process.env, KUBECONFIG: kubeconfig, KUBECACHEDIR: join(this.access.dir, 'kubectl-cache') };
  }

  private own(): NonNullable<Access['own']> {
    if (this.access.own === null) throw new Error('only a control plane of our own can do that; call needsOwn first');
    return this.access.own;
  }

  private control(action: string): Promise<void> {
    const { control } = this.own();
    return new Promise((resolve, reject) => {
      const call = request({ socketPath: control, path: `/apiserver/${action}`, method: 'POST' }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (piece: string) => (text += piece));
        answer.on('end', () => (answer.statusCode === 200 ? resolve() : reject(new Error(`${action}: ${text}`))));
      });
      call.on('error', reject).end();
    });
  }
}

const project = join(import.meta.dirname, '../../../..');
const crdNames = ['routingpolicies.hermes-router.io', 'backendgroups.hermes-router.io'];

/** Our own minimal CRD of InferencePool, or a whole one that HERMES_INFERENCE_POOL_CRD names. */
function inferencePoolCrd(): string {
  return process.env.HERMES_INFERENCE_POOL_CRD ?? join(import.meta.dirname, '../crds/inferencepools.yaml');
}
