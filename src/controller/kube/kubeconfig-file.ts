import { existsSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { load, YAMLException } from 'js-yaml';
import { errorText, type Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import { FixedCredentials, TokenFile, type KubeCredentials } from './credentials.ts';
import type { KubeConnection, KubeTls } from './kube-connection.ts';
import { PluginCredentials } from './plugin-credentials.ts';
import { KubeConfigError, Section } from './section.ts';

interface Chosen {
  readonly context: Section;
  readonly cluster: Section;
  readonly user: Section;
}

/**
 * The current context of kubeconfig files; the first that names something wins, as kubectl merges them. Missing files
 * of several are passed over. Throws KubeConfigError.
 */
export function fromKubeconfig(paths: readonly string[], clock: Clock, log: Log): KubeConnection {
  const files = paths.length === 1 ? paths : paths.filter((path) => existsSync(path));
  if (files.length === 0) throw new KubeConfigError(paths.join(':'), 'none of these files is there; see --kubeconfig');
  const chosen = choose(files.map(readYaml));
  const { cluster, context, user } = chosen;
  const tls = tlsOf(cluster, user);
  return {
    server: serverOf(cluster),
    namespace: context.text('namespace') ?? 'default',
    source: context.file,
    tls,
    credentials: credentialsOf(chosen, clock, log),
  };
}

function readYaml(path: string): Section {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const cure = 'give another by --kubeconfig, or --manifests to go without a cluster';
    throw new KubeConfigError(path, `cannot read the kubeconfig: ${errorText(error)}; ${cure}`);
  }
  let value: unknown;
  try {
    value = load(text);
  } catch (error) {
    throw new KubeConfigError(path, `the kubeconfig is no YAML: ${yamlFault(error)}`);
  }
  return new Section(path, '', value);
}

/** Without the lines around it, which the message of the error quotes: they may hold keys. */
function yamlFault(error: unknown): string {
  if (!(error instanceof YAMLException)) return errorText(error);
  return error.mark === undefined ? error.reason : `${error.reason} in line ${error.mark.line + 1}`;
}

function choose(files: readonly Section[]): Chosen {
  const holder = files.find((file) => file.has('current-context'));
  const name = holder?.text('current-context') ?? null;
  if (name === null) {
    throw new KubeConfigError(files[0]?.file ?? '', 'current-context is missing; set it by kubectl config use-context');
  }
  const context = named(files, 'context', name);
  const userName = context.text('user');
  return {
    context,
    cluster: named(files, 'cluster', context.requiredText('cluster')),
    user: userName === null ? new Section(context.file, 'user', {}) : named(files, 'user', userName),
  };
}

/** Entry `name` of the lists `clusters`, `contexts` or `users`. */
function named(files: readonly Section[], kind: 'context' | 'cluster' | 'user', name: string): Section {
  for (const file of files) {
    const entry = file.list(`${kind}s`).find((section) => section.text('name') === name);
    if (entry !== undefined) return new Section(file.file, `${kind}s[${name}].${kind}`, entry.value[kind]);
  }
  throw new KubeConfigError(files[0]?.file ?? '', `there is no ${kind} "${name}", which current-context leads to`);
}

function serverOf(cluster: Section): URL {
  const text = cluster.requiredText('server');
  if (cluster.has('proxy-url')) throw cluster.fault('proxy-url', 'is not supported; reach the API server directly');
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) throw cluster.fault('server', 'must be a https or http address');
  return url;
}

function tlsOf(cluster: Section, user: Section): KubeTls {
  const ca = dataOrFile(cluster, 'certificate-authority');
  const cert = dataOrFile(user, 'client-certificate');
  const key = dataOrFile(user, 'client-key');
  if ((cert === null) !== (key === null)) {
    throw user.fault(
      cert === null ? 'client-certificate' : 'client-key',
      'is missing: certificate and key go together',
    );
  }
  const servername = cluster.text('tls-server-name');
  return {
    ...(ca !== null && { ca }),
    ...(cert !== null && { cert }),
    ...(key !== null && { key }),
    ...(servername !== null && { servername }),
    ...(cluster.flag('insecure-skip-tls-verify') && { rejectUnauthorized: false }),
  };
}

/** PEM of `<field>-data` (base64) or of the file that `field` names. */
function dataOrFile(section: Section, field: string): string | null {
  const data = section.text(`${field}-data`);
  if (data !== null) return Buffer.from(data, 'base64').toString('utf8');
  const path = section.text(field);
  if (path === null) return null;
  try {
    return readFileSync(besideFile(section.file, path), 'utf8');
  } catch (error) {
    throw section.fault(field, `cannot be read: ${errorText(error)}`);
  }
}

/** Relative paths count from the folder of the kubeconfig. */
function besideFile(file: string, path: string): string {
  return isAbsolute(path) ? path : join(dirname(file), path);
}

/** What we would have to be silent about: acting as somebody else than the file says. */
const unsupported = ['username', 'password', 'as', 'as-groups', 'as-uid', 'as-user-extra'];

function credentialsOf(chosen: Chosen, clock: Clock, log: Log): KubeCredentials {
  const { user } = chosen;
  for (const field of unsupported) {
    if (user.has(field)) throw user.fault(field, 'is not supported; use a token or a client certificate');
  }
  const tokenFile = user.text('tokenFile');
  if (tokenFile !== null) return new TokenFile(besideFile(user.file, tokenFile), clock, log);
  const token = user.text('token');
  if (token !== null) return new FixedCredentials({ authorization: `Bearer ${token}` });
  if (user.has('exec') || user.has('auth-provider')) return new PluginCredentials(user.file, singleContext(chosen));
  return new FixedCredentials({ authorization: null });
}

function singleContext({ cluster, user }: Chosen): string {
  const value = { ...user.value };
  if (user.has('exec')) {
    const exec = user.section('exec');
    const command = exec.requiredText('command');
    value.exec = { ...exec.value, command: command.includes('/') ? besideFile(user.file, command) : command };
  }
  // The library reads no file for it: certificates are read here, and only the credentials are asked for.
  const server = cluster.requiredText('server');
  const plain = server.startsWith('http:');
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'only',
    contexts: [{ name: 'only', context: { cluster: 'only', user: 'only' } }],
    clusters: [{ name: 'only', cluster: { server, 'insecure-skip-tls-verify': plain } }],
    users: [{ name: 'only', user: value }],
  });
}
